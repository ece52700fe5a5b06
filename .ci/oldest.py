"""Runs the tests of the integrations with the oldest framework of each kind that ``pyproject.toml`` allows.

The floors there are what is installed, exactly, into a folder that stands in front of ``.venv``; everything else is as
locked, which is the newest. A second run installs nothing. What it tries is the table of ``docs/hosts.md``.
"""

import os
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

from prepare import PYTHON, ROOT, VENV, WHEELS, held, say

FRAMEWORKS = ("starlette", "fastapi", "django", "litestar", "quart", "uvicorn")
FLOOR = re.compile(r"(?P<name>[a-z0-9-]+)(\[\w+\])?>=(?P<version>[0-9.]+)")
TESTS = (
    *(f"tests/integrations/test_{name}.py" for name in ("starlette", "fastapi", "fastapi_router")),
    *(f"tests/integrations/test_{name}.py" for name in ("litestar", "quart", "django")),
    *(f"tests/asgi/test_{name}.py" for name in ("hosts", "lifespans", "two_guests", "first_requests")),
)
SAID = "from importlib.metadata import version; import sys; print(*map(version, sys.argv[1:]))"


def floors() -> dict[str, str]:
    """The oldest version of each framework that the project says it works with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    found = {match["name"]: match["version"] for line in asked if (match := FLOOR.match(line))}
    return {name: found[name] for name in FRAMEWORKS}


def installed(versions: Mapping[str, str]) -> Path:
    """A folder with exactly these, and nothing that they depend on."""
    folder = WHEELS.parent / "-".join(["oldest", *(f"{name}{version}" for name, version in versions.items())])
    if not folder.is_dir():
        say(f"fetching {', '.join(f'{name} {version}' for name, version in versions.items())}, once")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="oldest-", dir=folder.parent) as scratch:
            target = Path(scratch) / "site"
            command = [VENV / "bin" / "uv", "pip", "install", "--quiet", "--no-deps", "--python", PYTHON]
            pins = (f"{name}=={version}" for name, version in versions.items())
            subprocess.run([*command, "--target", target, *pins], check=True)
            target.rename(folder)
    return folder


def plain(version: str) -> str:
    """A version without the zeros that say nothing."""
    return re.sub(r"(\.0)+$", "", version)


def main() -> int:
    versions = floors()
    with held(ROOT):
        folder = installed(versions)
    environment = {**os.environ, "PYTHONPATH": str(folder)}
    said = subprocess.run([PYTHON, "-c", SAID, *versions], env=environment, check=True, capture_output=True, text=True)
    assert [*map(plain, said.stdout.split())] == [*map(plain, versions.values())], said.stdout
    # They call what has since been deprecated in what they stand on.
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "ignore::DeprecationWarning"]
    command += ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder", *TESTS]
    return subprocess.run(command, env=environment, cwd=ROOT, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
