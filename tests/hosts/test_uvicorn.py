"""Every host on uvicorn, however it is attached."""

from pathlib import Path

import pytest

from tests.hosts.matrix import ATTACHES, KINDS, whole_life

pytestmark = pytest.mark.timeout(400)  # several processes each, on machines that are slow


@pytest.mark.parametrize("attach", ATTACHES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_life_on_uvicorn(kind: str, attach: str, tmp_path: Path) -> None:
    await whole_life("uvicorn", kind, attach, tmp_path)
