"""Asking what there is costs nothing: no framework, no database, no engine is loaded for it."""

import json
import subprocess
import sys

import pytest

from bodhi_asgi import __version__
from tests.cli.conftest import Bodhi

HEAVY = {"starlette", "sqlalchemy", "databases", "llama_cpp", "numpy", "uvicorn", "pydantic", "alembic", "rich"}


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["token", "create", "--help"]], ids=" ".join)
def test_asking_loads_nothing_heavy(arguments: list[str]) -> None:
    code = (
        "import sys, atexit, json\n"
        "from bodhi_asgi.__main__ import main\n"
        "loaded = lambda: sorted({name.split('.')[0] for name in sys.modules})\n"
        "atexit.register(lambda: print(json.dumps(loaded()), file=sys.stderr))\n"
        "main()"
    )
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    assert ended.stdout
    assert not HEAVY & set(json.loads(ended.stderr))


def test_version_is_told_to_people_and_to_programs(bodhi: Bodhi) -> None:
    assert bodhi("version").stdout.startswith(f"bodhi_asgi {__version__} on Python 3.")
    assert json.loads(bodhi("version", "--json").stdout)["version"] == __version__
    assert bodhi("--json", "version").stdout == bodhi("version", "--json").stdout


def test_help_lists_every_command_and_the_exit_codes(bodhi: Bodhi) -> None:
    told = bodhi("--help").stdout
    for name in (
        "serve",
        "demo",
        "chat",
        "run",
        "list",
        "create",
        "cp",
        "rm",
        "show",
        "token",
        "db",
        "settings",
        "version",
    ):
        assert f"\n  {name} " in told
    assert "130  stopped by Ctrl-C" in told
