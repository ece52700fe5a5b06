"""``manage.py`` as a process: what is special about it is how it ends."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)  # it starts a process of its own, on machines that are slow


def test_a_command_that_is_refused_ends_with_a_sentence_and_its_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "tests.integrations.django_project.manage"]
    done = subprocess.run(
        [*command, "bodhi_token", "revoke", "nothing"],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "PROJECT_FOLDER": str(tmp_path)},
        timeout=240,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr.splitlines()[-1] == "CommandError: there is no token 'nothing'"
    assert "Traceback" not in done.stderr
