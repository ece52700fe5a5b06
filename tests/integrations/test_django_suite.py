"""A Django project's own tests, run by ``manage.py test`` in one process: Django keeps its settings once for each."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.neighbours.postgres import Cluster

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "tests.integrations.django_project"
SUITE = ROOT / "tests" / "integrations" / "django_project" / "suite"
BESIDE = json.dumps({"DJANGO_DATABASE": "default"})
TEST = re.compile(r"^    (?:async )?def test_", re.MULTILINE)

pytestmark = pytest.mark.timeout(300)  # whole suites, on machines that are slow


def run_suite(module: str, folder: Path, **environment: str) -> None:
    """Run the tests of one module, all of them."""
    command = [sys.executable, "-W", "ignore", "-m", f"{PROJECT}.manage", "test", f"{PROJECT}.suite.{module}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PROJECT_FOLDER": str(folder), **environment},
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(TEST.findall((SUITE / f"{module}.py").read_text("utf-8")))
    assert f"Ran {count} tests" in done.stderr


@pytest.mark.parametrize("module", sorted(path.stem for path in SUITE.glob("[a-z]*.py") if path.stem != "places"))
def test_the_projects_own_tests_pass(module: str, tmp_path: Path) -> None:
    run_suite(module, tmp_path)


def test_a_file_of_djangos_holds_our_tables_too(tmp_path: Path) -> None:
    run_suite("places", tmp_path, PROJECT_BODHI=BESIDE)


def test_a_postgresql_of_djangos_holds_our_tables_too(tmp_path: Path, postgres: Cluster) -> None:
    place = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": "postgres",
        "USER": "bodhi",
        "PASSWORD": "a: b/c@d?%41",  # it is trusted without, and must pass unharmed all the same
        "HOST": "127.0.0.1",
        "PORT": postgres.port,
        "OPTIONS": {"sslmode": "prefer"},
        "TEST": {"NAME": "django beside/bodhi"},
    }
    run_suite("places", tmp_path, PROJECT_BODHI=BESIDE, PROJECT_DATABASE=json.dumps(place))
