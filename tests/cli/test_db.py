"""``bodhi db``: what state the migrations are in, and running them by hand."""

import json

import pytest

from tests.cli.conftest import Bodhi


def test_upgrade_runs_what_status_says_is_missing(bodhi: Bodhi) -> None:
    missing = json.loads(bodhi("db", "status", "--json").stdout)
    assert missing
    assert all(step["applied_at"] is None for step in missing)
    assert "missing" in bodhi("db", "status").stdout
    plural = "" if len(missing) == 1 else "s"
    assert bodhi("db", "upgrade").stdout == f"Ran {len(missing)} migration{plural}; the database is up to date.\n"
    assert all(step["applied_at"] for step in json.loads(bodhi("db", "status", "--json").stdout))
    assert bodhi("db", "upgrade").stdout == "Ran 0 migrations; the database is up to date.\n"
    assert all(step["applied_at"] for step in json.loads(bodhi("db", "upgrade", "--json").stdout))


def test_a_server_that_only_checks_starts_after_the_upgrade(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_MIGRATIONS", "check")
    refused = bodhi("token", "list")
    assert refused.exit_code == 2
    assert "bodhi db upgrade" in refused.stderr
    assert bodhi("db", "upgrade").exit_code == 0
    assert bodhi("token", "list").exit_code == 0


def test_a_database_that_is_away_is_told_without_its_password(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_DATABASE_URL", "postgresql://ada:lovelace@127.0.0.1:9/notes")
    result = bodhi("db", "status")
    assert result.exit_code == 5
    assert "lovelace" not in result.stderr
    assert result.stderr.count("\n") == 1
