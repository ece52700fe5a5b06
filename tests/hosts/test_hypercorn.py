"""Every host on hypercorn, however it is attached."""

from pathlib import Path

import pytest

from tests.hosts.matrix import ATTACHES, KINDS, whole_life

pytestmark = pytest.mark.timeout(400)  # several processes each, on machines that are slow


@pytest.mark.parametrize("attach", ATTACHES)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_whole_life_on_hypercorn(kind: str, attach: str, tmp_path: Path) -> None:
    await whole_life("hypercorn", kind, attach, tmp_path)


@pytest.mark.parametrize("kind", ["starlette", "quart", "bridge"])
async def test_alone_in_its_process_it_lets_streams_end_before_it_waits_for_them(kind: str, tmp_path: Path) -> None:
    await whole_life("hypercorn alone", kind, "lifespan", tmp_path)
