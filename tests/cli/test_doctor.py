"""``bodhi doctor``: lines as they come, one JSON document, and an exit code that a script can trust."""

import json
import signal
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Bodhi
from tests.cli.terminal import terminal

KEYS = {"check", "subject", "status", "found", "advice", "facts"}


def findings(output: str) -> dict[str, dict[str, Any]]:
    """What ``--json`` printed, by check and subject."""
    rows = json.loads(output)["findings"]
    return {f"{row['check']}:{row['subject']}" if row["subject"] else row["check"]: row for row in rows}


def test_it_starts_an_engine_asks_it_and_leaves_nothing_behind(bodhi: Bodhi, data_dir: Path) -> None:
    result = bodhi("doctor", "parrot", "--json")
    assert result.exit_code == 0, result.output
    engine = findings(result.stdout)["engine:parrot"]
    assert engine["status"] == "ok"
    assert engine["facts"]["answer"] == "Hello! What is the capital of France?"
    assert 0 < engine["facts"]["load_s"] < 60
    assert not data_dir.exists()


def test_the_json_has_the_documented_shape(bodhi: Bodhi) -> None:
    document = json.loads(bodhi("doctor", "--no-engine", "--json").stdout)
    assert set(document) == {"status", "counts", "findings"}
    assert set(document["counts"]) == {"ok", "warning", "failed", "skipped"}
    assert sum(document["counts"].values()) == len(document["findings"])
    for row in document["findings"]:
        assert set(row) == KEYS
        assert row["found"]
        assert row["status"] in document["counts"]
        assert row["advice"] or row["status"] in ("ok", "skipped")


def test_without_an_engine_it_says_that_it_was_told_so(bodhi: Bodhi) -> None:
    engine = findings(bodhi("doctor", "--no-engine", "--json").stdout)["engine"]
    assert (engine["status"], engine["found"]) == ("skipped", "no engine was to be started")


def test_a_pipe_gets_tab_separated_lines(bodhi: Bodhi) -> None:
    lines = bodhi("doctor", "--no-engine").stdout.splitlines()
    assert lines[0] == "status\tcheck\tfound\tadvice"
    assert {line.count("\t") for line in lines} == {3}
    assert any(line.startswith("ok\tpython\tbodhi_asgi ") for line in lines)


async def test_a_person_sees_what_is_looked_at_and_a_sum_at_the_end(
    command: list[str], environment: dict[str, str]
) -> None:
    async with terminal([*command, "doctor", "--no-engine"], environment) as screen:
        told = await screen.shows("looking at: database ...")
        told += await screen.shows(" failed, ")
        assert "→ " in told
        assert "\x1b[32mok" in told
        assert await screen.ended() == 0


async def test_without_colour_when_the_person_wants_none(command: list[str], environment: dict[str, str]) -> None:
    async with terminal([*command, "doctor", "--no-engine"], {**environment, "NO_COLOR": "1"}) as screen:
        told = await screen.shows(" skipped.")
        assert "ok       python: " in told
        assert "\x1b[32m" not in told


def test_a_data_directory_that_cannot_be_is_a_failed_line_and_exit_code_1(bodhi: Bodhi, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("not a folder", "utf-8")
    result = bodhi("doctor", "--no-engine", "--json", "--data-dir", str(file / "below"))
    assert result.exit_code == 1
    assert result.stderr == ""
    found = findings(result.stdout)["permissions:data_dir"]
    assert found["status"] == "failed"
    assert f"{file} is not a folder" in found["found"]
    assert found["advice"] == "Set data_dir to a folder that can be made."


def test_settings_that_cannot_be_read_are_a_failed_line_and_the_machine_is_looked_at_all_the_same(
    bodhi: Bodhi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODHI_ENGINE__SLOTS", "many")
    result = bodhi("doctor", "--json")
    assert result.exit_code == 1
    found = findings(result.stdout)
    assert found["settings"]["status"] == "failed"
    assert "engine.slots" in found["settings"]["found"]
    assert found["settings"]["facts"] == {"param": "engine.slots"}
    assert found["memory"]["status"] == found["python"]["status"] == "ok"
    assert found["database"]["found"] == "the settings cannot be read"


def test_a_model_that_is_not_offered_is_a_failure_that_names_those_that_are(bodhi: Bodhi) -> None:
    result = bodhi("doctor", "eagle", "--json")
    assert result.exit_code == 1
    assert findings(result.stdout)["engine:eagle"]["advice"] == "Name one of those that are offered: demo, parrot."


async def test_ctrl_c_ends_it_with_its_own_code(command: list[str], environment: dict[str, str]) -> None:
    with socket.socket() as silent:  # takes connections and never says a word
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        slow = {"BODHI_DATABASE_URL": f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/notes"}
        async with terminal([*command, "doctor"], {**environment, **slow}) as screen:
            await screen.shows("looking at: database ...")
            screen.process.send_signal(signal.SIGINT)
            assert await screen.ended() == 130
