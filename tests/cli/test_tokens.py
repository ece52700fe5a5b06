"""``bodhi token``: made once, shown once, listed without its secret, and ended for good."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Bodhi


def created(bodhi: Bodhi, *options: str) -> dict[str, str]:
    return json.loads(bodhi("token", "create", "--name", "laptop", "--json", *options).stdout)


def test_the_secret_is_shown_once_and_alone_on_stdout(bodhi: Bodhi) -> None:
    result = bodhi("token", "create", "--name", "laptop", "--model", "parrot")
    assert result.exit_code == 0
    secret = result.stdout.strip()
    assert secret.startswith("sk-bodhiapp_")
    assert "\n" not in secret
    assert "shown only now" in result.stderr
    assert secret not in bodhi("token", "list", "--json").stdout


def test_list_shows_name_models_and_state(bodhi: Bodhi) -> None:
    made = created(bodhi, "--model", "parrot", "--expires-in-days", "3")
    (row,) = json.loads(bodhi("token", "list", "--json").stdout)
    assert row["id"] == made["id"]
    assert row["name"] == "laptop"
    assert row["models"] == ["parrot"]
    lines = bodhi("token", "list").stdout.splitlines()
    assert lines[1].split("\t")[:2] == [made["id"], "laptop"]


def test_a_revoked_token_stays_in_the_list_and_says_so(bodhi: Bodhi) -> None:
    made = created(bodhi, "--all-models")
    result = bodhi("token", "revoke", made["id"])
    assert result.exit_code == 0
    assert "laptop" in result.stderr + result.stdout
    (row,) = json.loads(bodhi("token", "list", "--json").stdout)
    assert row["status"] != made["status"]


def test_power_user_has_more_scopes_than_user(bodhi: Bodhi) -> None:
    user, power = created(bodhi, "--all-models"), created(bodhi, "--all-models", "--scope", "power_user")
    assert set(user["scopes"]) <= set(power["scopes"])


def test_a_token_without_a_model_is_refused_with_the_choice(bodhi: Bodhi) -> None:
    result = bodhi("token", "create", "--name", "laptop")
    assert result.exit_code == 2
    assert "--model" in result.stderr
    assert "--all-models" in result.stderr


def test_revoking_what_is_not_there_is_not_found(bodhi: Bodhi) -> None:
    assert bodhi("token", "revoke", "01ARZ3NDEKTSV4RRFFQ69G5FAV").exit_code == 3


@pytest.mark.parametrize("days", ["0", "4000", "soon"])
def test_an_impossible_term_is_a_usage_error(bodhi: Bodhi, days: str) -> None:
    assert bodhi("token", "create", "--name", "x", "--all-models", "--expires-in-days", days).exit_code == 2


def test_an_empty_list_is_only_its_heading(bodhi: Bodhi, data_dir: Path) -> None:
    assert len(bodhi("token", "list").stdout.splitlines()) == 1
    assert (data_dir.stat().st_mode & 0o777) == 0o700
