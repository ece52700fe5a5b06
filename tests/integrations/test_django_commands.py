"""``manage.py``: the commands and checks of ``bodhi_django``, with their output and exit codes."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)  # each starts processes of its own, on machines that are slow


def manage(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "tests.integrations.django_project.manage", *arguments]
    variables = {**os.environ, "PROJECT_FOLDER": str(folder), **environment}
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT, env=variables, timeout=240)


def test_tokens_are_made_listed_and_revoked(tmp_path: Path) -> None:
    made = manage(tmp_path, "bodhi_token", "--json", "create", "--name", "laptop", "--model", "parrot")
    assert made.returncode == 0, made.stderr
    token = json.loads(made.stdout)
    assert token["token"].startswith("sk-bodhiapp_")
    assert token["models"] == ["parrot"]

    listed = manage(tmp_path, "bodhi_token", "list").stdout.splitlines()
    assert [line.split("\t")[1:3] for line in listed] == [["name", "status"], ["laptop", "active"]]
    assert manage(tmp_path, "bodhi_token", "revoke", token["id"]).stdout == "The token 'laptop' is revoked.\n"

    missing = manage(tmp_path, "bodhi_token", "revoke", "nothing")
    assert (missing.returncode, missing.stderr.strip()) == (3, "CommandError: there is no token 'nothing'")
    unsaid = manage(tmp_path, "bodhi_token", "create", "--name", "laptop")
    assert (unsaid.returncode, "--all-models" in unsaid.stderr) == (2, True)


def test_models_are_listed_and_a_reference_that_is_none_is_refused(tmp_path: Path) -> None:
    listed = manage(tmp_path, "bodhi_models", "--json")
    assert [model["id"] for model in json.loads(listed.stdout)] == ["parrot"], listed.stderr
    refused = manage(tmp_path, "bodhi_pull", "not a reference")
    assert refused.returncode == 2, refused.stderr
    assert "Traceback" not in refused.stderr


def test_the_database_is_migrated_and_may_be_djangos_own(tmp_path: Path) -> None:
    bodhi = json.dumps({"MIGRATIONS": "check", "DJANGO_DATABASE": "default"})
    too_early = manage(tmp_path, "bodhi_models", PROJECT_BODHI=bodhi)
    assert too_early.returncode != 0
    assert manage(tmp_path, "bodhi_migrate", PROJECT_BODHI=bodhi).stdout == "The database is up to date.\n"
    assert manage(tmp_path, "bodhi_models", PROJECT_BODHI=bodhi).returncode == 0
    assert manage(tmp_path, "migrate", PROJECT_BODHI=bodhi).returncode == 0
    assert not (tmp_path / "bodhi" / "bodhi.db").exists()


def test_the_doctor_says_what_it_found(tmp_path: Path) -> None:
    done = manage(tmp_path, "bodhi_doctor", "--json", "--no-engine")
    assert done.returncode in (0, 1), done.stderr
    assert json.loads(done.stdout)["findings"]


def test_a_sound_project_passes_the_checks_of_a_deployment(tmp_path: Path) -> None:
    done = manage(tmp_path, "check", "--deploy", "--tag", "bodhi", "--fail-level", "INFO")
    assert done.returncode == 0, done.stderr


CHECKED = """
import json, sys
import django
from django.conf import settings
from django.test import override_settings

django.setup()
from django.core.checks import run_checks

for changed in json.loads(sys.argv[1]):
    with override_settings(BODHI={**settings.BODHI, **changed}):
        print(json.dumps([[str(found.id), found.msg, found.hint] for found in run_checks(tags=["bodhi"])]))
"""


def test_what_is_wrong_in_the_settings_is_named_with_a_hint(tmp_path: Path) -> None:
    wrong: list[tuple[dict[str, object], str, str]] = [
        ({"ENGIN": {}}, "bodhi.E001", "'engin' is no setting"),
        ({"engine": {}}, "bodhi.E001", "capitals"),
        ({"ENGINE": {"N_CTX": "many"}}, "bodhi.E001", "engine.n_ctx"),
        ({"GROUPS": {"editors": ["everything"]}}, "bodhi.E001", "GROUPS.editors"),
        ({"IDENTITY": "nowhere.nobody"}, "bodhi.E001", "cannot be imported"),
        ({"DJANGO_DATABASE": "other"}, "bodhi.E001", "settings.DATABASES"),
        ({"IDENTITY": None}, "bodhi.I001", "Only API tokens"),
    ]
    changes = json.dumps([changed for changed, _, _ in wrong])
    settings = {"DJANGO_SETTINGS_MODULE": "tests.integrations.django_project.settings", "PROJECT_FOLDER": str(tmp_path)}
    command = [sys.executable, "-W", "ignore", "-c", CHECKED, changes]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env={**os.environ, **settings}, timeout=240
    )
    assert done.returncode == 0, done.stderr
    for (_, finding, words), line in zip(wrong, done.stdout.splitlines(), strict=True):
        ((found, message, hint),) = json.loads(line)
        assert found == finding
        assert words in message
        assert hint
