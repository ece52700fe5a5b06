"""A Django project's own tests, run by ``manage.py test`` in one process: Django keeps its settings once for each."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROJECT = "tests.integrations.django_project"
SUITE = ROOT / "tests" / "integrations" / "django_project" / "suite"
TEST = re.compile(r"^    (?:async )?def test_", re.MULTILINE)

pytestmark = pytest.mark.timeout(300)  # whole suites, on machines that are slow


@pytest.mark.parametrize("module", sorted(path.stem for path in SUITE.glob("[a-z]*.py")))
def test_the_projects_own_tests_pass(module: str, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", f"{PROJECT}.manage", "test", f"{PROJECT}.suite.{module}"]
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PROJECT_FOLDER": str(tmp_path)},
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(TEST.findall((SUITE / f"{module}.py").read_text("utf-8")))
    assert f"Ran {count} tests" in done.stderr
