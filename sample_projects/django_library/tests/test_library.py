"""Django's own tests of the library, and what it says of a library that is to be deployed."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.timeout(300)  # each starts processes of its own, on machines that are slow
PROJECT = Path(__file__).parents[1]


def manage(variables: dict[str, str], *arguments: str) -> str:
    """``python -W error manage.py``; fails when it does."""
    command = [sys.executable, "-W", "error", "manage.py", *arguments]
    done = subprocess.run(command, cwd=PROJECT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def test_the_tests_of_the_catalogue_pass_in_djangos_runner(variables: dict[str, str]) -> None:
    said = manage(variables, "test", "library")
    assert "Ran 0 tests" not in said
    assert "OK" in said


def test_it_is_fit_to_be_deployed_and_makes_its_key_once_for_nobody_else_to_read(variables: dict[str, str]) -> None:
    said = manage({**variables, "LIBRARY_HTTPS": "1"}, "check", "--deploy", "--fail-level", "WARNING")
    assert "no issues" in said
    place = Path(variables["LIBRARY_DATABASE"]).with_suffix(".key")
    key = place.read_text()
    assert len(key) >= 50
    assert place.stat().st_mode & 0o777 == 0o600
    assert "No changes" in manage(variables, "makemigrations", "--check")
    assert place.read_text() == key
