"""The examination itself: order, time limits, checks that break, and what a host gets to hear."""

import asyncio
import threading
import tomllib
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from bodhi_asgi import BodhiServerConfig, Diagnosis, Finding, diagnose
from bodhi_asgi.doctor import examination
from bodhi_asgi.doctor.case import Case, blocking
from bodhi_asgi.doctor.examination import CHECKS, Check
from bodhi_asgi.doctor.extras import EXTRAS
from bodhi_asgi.doctor.types import failed, ok, skipped, warning
from tests.docs.pages import ROOT
from tests.doctor.support import examined, only, settings


async def broken(_: Case) -> list[Finding]:
    raise KeyError("postgresql://ada:lovelace@db/notes")


async def endless(_: Case) -> list[Finding]:
    await asyncio.Event().wait()
    return []


def stuck(_: Case) -> list[Finding]:
    threading.Event().wait()
    return []


def unlucky(_: Case) -> list[Finding]:
    raise KeyError("nobody knows")


async def well(_: Case) -> list[Finding]:
    return [ok("last", "well")]


@pytest.mark.parametrize(
    ("check", "told"),
    [
        (broken, "the check itself failed: KeyError"),
        (blocking(unlucky), "the check itself failed: KeyError: 'nobody knows'"),
        (endless, "the check did not end within 0.2 s"),
        (blocking(stuck), "the check did not end within 0.2 s"),
    ],
    ids=["raises", "raises in its thread", "never ends", "blocks its thread"],
)
async def test_a_check_that_goes_wrong_is_a_failed_line_and_the_next_ones_are_made(
    check: Callable[[Case], Awaitable[list[Finding]]], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examination, "CHECKS", (Check("first", check), Check("last", well)))
    diagnosis = await diagnose(settings(tmp_path), time_limit_s=0.2)
    assert diagnosis.has_failed
    assert told in only(diagnosis, "first").found
    assert only(diagnosis, "first").advice
    assert "lovelace" not in only(diagnosis, "first").found
    assert only(diagnosis, "last").status == "ok"


def test_a_thread_that_comes_back_after_the_end_disturbs_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    let_go = threading.Event()
    complaints: list[object] = []
    threads: list[threading.Thread] = []

    def late(_: Case) -> list[Finding]:
        threads.append(threading.current_thread())
        let_go.wait()
        return []

    monkeypatch.setattr(threading, "excepthook", complaints.append)
    monkeypatch.setattr(examination, "CHECKS", (Check("late", blocking(late)),))
    assert asyncio.run(diagnose(time_limit_s=0.2)).has_failed
    let_go.set()
    threads[0].join(10)
    assert not threads[0].is_alive()
    assert complaints == []


async def test_a_host_hears_of_each_check_as_it_begins_and_of_each_finding_at_once(tmp_path: Path) -> None:
    heard: list[str | Finding] = []
    diagnosis = await examined(settings(tmp_path), on_started=heard.append, on_found=heard.append)
    assert [item for item in heard if isinstance(item, str)] == [check.name for check in CHECKS]
    assert tuple(item for item in heard if isinstance(item, Finding)) == diagnosis.findings
    begun = ""
    for item in heard:
        begun = item if isinstance(item, str) else begun
        assert isinstance(item, str) or item.check == begun


async def test_settings_that_cannot_be_made_are_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BODHI_SLOTS", "3")
    diagnosis = await diagnose(with_engine=False)
    assert "BODHI_ENGINE__SLOTS" in only(diagnosis, "settings").found
    assert {finding.check for finding in diagnosis.findings if finding.found == "the settings cannot be read"} == {
        check.name for check in CHECKS if check.needs_settings
    }


def test_the_worst_finding_is_the_status_and_what_was_skipped_does_not_count() -> None:
    found = [ok("a", "well"), skipped("b", "not now")]
    assert Diagnosis(tuple(found)).status == "ok"
    found.append(warning("c", "hm", "Mend it."))
    assert Diagnosis(tuple(found)).status == "warning"
    assert not Diagnosis(tuple(found)).has_failed
    found.append(failed("d", "no", "Mend it now."))
    assert Diagnosis(tuple(found)).status == "failed"
    assert dict(Diagnosis(tuple(found)).counts) == {
        "ok": 1,
        "warning": 1,
        "failed": 1,
        "skipped": 1,
    }


@pytest.mark.parametrize("make", [warning, failed])
def test_what_is_wrong_needs_advice(make: Callable[[str, str, str], Finding]) -> None:
    with pytest.raises(AssertionError, match="told what to do"):
        make("check", "something is wrong", "")


def test_every_extra_of_the_package_is_looked_for() -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"all"}


def test_every_check_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "cli.md").read_text("utf-8")
    for check in CHECKS:
        assert f"| `{check.name}` |" in guide


async def test_the_examination_may_be_made_beside_others_in_one_loop(tmp_path: Path) -> None:
    configs: list[BodhiServerConfig] = [settings(tmp_path / name) for name in ("one", "two")]
    first, second = await asyncio.gather(*(examined(config, with_engine=True) for config in configs))
    assert only(first, "engine", "demo").status == only(second, "engine", "demo").status == "ok"
