"""``bodhi settings`` shows what holds and where it comes from."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Bodhi


def shown(result_json: str) -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in json.loads(result_json)}


def test_each_value_has_its_origin(bodhi: Bodhi, tmp_path: Path) -> None:
    file = tmp_path / "bodhi.toml"
    file.write_text("[engine]\nslots = 3\n", "utf-8")
    rows = shown(bodhi("settings", "--json", "--config", str(file), "--data-dir", str(tmp_path / "other")).stdout)
    assert (rows["engine.slots"]["value"], rows["engine.slots"]["origin"]) == ("3", "file")
    assert rows["engine.runner"]["origin"] == "environment"
    assert rows["data_dir"] | {"description": "", "default": ""} == {
        "name": "data_dir",
        "value": str(tmp_path / "other"),
        "origin": "argument",
        "default": "",
        "env": "BODHI_DATA_DIR",
        "description": "",
    }
    assert rows["tokens.lifetime_days"]["origin"] == "default"


def test_a_pipe_gets_tab_separated_lines(bodhi: Bodhi) -> None:
    lines = bodhi("settings").stdout.splitlines()
    assert lines[0] == "setting\tvalue\torigin\tenvironment"
    assert "engine.runner\techo\tenvironment\tBODHI_ENGINE__RUNNER" in lines


def test_a_password_is_not_shown(bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_DATABASE_URL", "postgresql://ada:lovelace@localhost/notes")
    told = bodhi("settings").stdout
    assert "localhost/notes" in told
    assert "lovelace" not in told


def test_a_wrong_value_is_a_usage_error_that_says_what_is_accepted(
    bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODHI_ENGINE__SLOTS", "many")
    result = bodhi("settings")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "engine.slots" in result.stderr
    assert "many" in result.stderr


def test_nothing_is_touched_on_disk(bodhi: Bodhi, data_dir: Path) -> None:
    assert bodhi("settings").exit_code == 0
    assert not data_dir.exists()
