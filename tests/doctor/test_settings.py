"""What was set, from where, and what is hardly meant that way."""

from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiServerConfig
from bodhi_asgi.doctor.settings import suspicions
from tests.doctor.support import examined, only, settings


async def test_each_setting_that_is_not_at_its_default_is_told_with_its_origin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BODHI_ENGINE__SLOTS", "3")
    found = only(await examined(settings(tmp_path, database_url="postgresql://ada:lovelace@127.0.0.1:9/n")), "settings")
    changed = found.facts["changed"]
    assert isinstance(changed, list)
    assert {"name": "engine.slots", "value": "3", "origin": "environment"} in changed
    assert {"name": "data_dir", "value": str(tmp_path), "origin": "argument"} in changed
    assert "engine.slots = 3 (environment)" in found.found
    assert "lovelace" not in str(found)


SUSPICIOUS: list[tuple[str, dict[str, Any]]] = [
    ("engine.runner", {"engine": {"runner": "echo"}}),
    ("engine.isolation", {"engine": {"isolation": "thread"}}),
    ("engine.n_ctx", {"engine": {"n_ctx": 1024, "slots": 8}}),
    ("engine.n_batch", {"engine": {"n_ctx": 512, "slots": 1, "n_batch": 1024}}),
    ("engine.request_timeout_s", {"engine": {"request_timeout_s": 2}}),
    ("bind_address", {"bind_address": "0.0.0.0:1135"}),
    ("docs", {"bind_address": "0.0.0.0:1135", "public_url": "https://a.example", "docs": True}),
    ("public_url", {"public_url": "http://models.example.org/bodhi"}),
    ("public_url", {"public_url": "http://models.example.org:8000"}),
    ("database_url", {"database_url": "sqlite://"}),
    ("data_dir", {"data_dir": "/tmp/bodhi"}),
    ("tokens.lifetime_days", {"tokens": {"lifetime_days": 3650}}),
]


@pytest.mark.parametrize(("name", "values"), SUSPICIOUS, ids=[name for name, _ in SUSPICIOUS])
def test_a_suspicious_combination_is_a_warning_about_one_setting(name: str, values: dict[str, Any]) -> None:
    config = BodhiServerConfig(**{"data_dir": "/srv/bodhi", **values})
    assert [finding.subject for finding in suspicions(config)] == [name]


@pytest.mark.parametrize(
    "values",
    [
        {},
        {"engine": {"n_ctx": 8192, "slots": 8}},
        {"bind_address": "0.0.0.0:1135", "public_url": "https://models.example.org"},
        {"public_url": "http://localhost:8000"},
        {"public_url": "http://127.0.0.1:8000/bodhi"},
        {"public_url": "http://localhost"},
    ],
    ids=str,
)
def test_what_is_meant_raises_no_suspicion(values: dict[str, Any]) -> None:
    assert list(suspicions(BodhiServerConfig(**{"data_dir": "/srv/bodhi", **values}))) == []
