"""The versions of hosts: what the page of hosts says is tried is what the project asks for and what is installed."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| (?P<name>[A-Za-z]+) \| (?P<oldest>[0-9.]+) \| (?P<newest>[0-9.]+) \|", re.MULTILINE)
FLOOR = re.compile(r"(?P<name>[a-z]+)(\[\w+\])?>=(?P<version>[0-9.]+)")
HOSTS = {"starlette", "fastapi", "litestar", "quart", "django", "uvicorn"}


def test_the_table_of_versions_tells_the_floors_of_the_project_and_what_is_installed() -> None:
    page = (ROOT / "docs" / "hosts.md").read_text("utf-8")
    told = {row["name"].lower(): (row["oldest"], row["newest"]) for row in ROW.finditer(page)}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    asked = [*project["dependencies"], *(line for lines in project["optional-dependencies"].values() for line in lines)]
    floors = {match["name"]: match["version"] for line in asked if (match := FLOOR.match(line))}
    assert told == {name: (floors[name], version(name)) for name in HOSTS}
