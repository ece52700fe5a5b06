"""Settings of a server with the deterministic runner."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ECHO: dict[str, Any] = {"runner": "echo", "isolation": "thread", "n_ctx": 256}
HELLO: dict[str, Any] = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


@pytest.fixture
def make_settings(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    return lambda: {"data_dir": tmp_path / "data", "models": {"parrot": "x"}, "demo": False, "engine": ECHO}
