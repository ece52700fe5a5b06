"""The command line as its users meet it: in this process for the many cases, as a real process where that matters."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bodhi_asgi.cli.app import bodhi as group

Bodhi = Callable[..., Result]


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def environment(data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of every command: a fresh data directory and the deterministic runner in a thread."""
    ours = {
        "BODHI_DATA_DIR": str(data_dir),
        "BODHI_ENGINE__RUNNER": "echo",
        "BODHI_ENGINE__ISOLATION": "thread",
        "BODHI_MODELS": '{"parrot": "parrot"}',
    }
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    return {**os.environ, **ours, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def bodhi(environment: dict[str, str]) -> Bodhi:
    """Run a command in this process and give its result, with stdout and stderr apart."""

    def invoke(*arguments: str, stdin: str | None = None) -> Result:
        return CliRunner().invoke(group, arguments, input=stdin)

    return invoke


@pytest.fixture
def command() -> list[str]:
    """The command line as a process of its own."""
    return [sys.executable, "-m", "bodhi_asgi"]
