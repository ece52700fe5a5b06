"""Django under WSGI, with threads instead of an event loop: the same life."""

from pathlib import Path

import pytest

from tests.hosts.matrix import whole_life

pytestmark = pytest.mark.timeout(400)  # several processes each, on machines that are slow


async def test_a_whole_life_on_gunicorn_without_asyncio(tmp_path: Path) -> None:
    await whole_life("gunicorn", "bridge", "wsgi", tmp_path)
