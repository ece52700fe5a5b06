"""A reactor of Twisted's asks us before it stops, and waits; elsewhere nobody is asked and nothing is imported."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.python import threadable

from bodhi_asgi.http.drain import Drain

REACTOR = "twisted.internet.reactor"


class SurroundingReactor:
    """As daphne runs one: it keeps what it is to call, and waits for what that returns."""

    def __init__(self, *, running: bool = True) -> None:
        self.running = running
        self.triggers: list[Callable[[], Any]] = []

    def addSystemEventTrigger(self, phase: str, event: str, asked: Callable[[], Any]) -> Any:  # noqa: N802  # Twisted's
        assert (phase, event) == ("before", "shutdown")
        self.triggers.append(asked)
        return asked

    def removeSystemEventTrigger(self, trigger: Any) -> None:  # noqa: N802
        self.triggers.remove(trigger)

    async def stop(self) -> None:
        while self.triggers:
            waits_for = self.triggers.pop()()
            assert isinstance(waits_for, Deferred)
            await waits_for.asFuture(asyncio.get_running_loop())


@pytest.fixture
def reactor(monkeypatch: pytest.MonkeyPatch) -> SurroundingReactor:
    reactor = SurroundingReactor()
    monkeypatch.setitem(sys.modules, REACTOR, reactor)
    monkeypatch.setattr(threadable, "isInIOThread", lambda: True)
    return reactor


async def nobody() -> None:
    """Nothing is to be ended."""


async def test_a_reactor_that_stops_waits_until_everything_has_ended(reactor: SurroundingReactor) -> None:
    ended = []

    async def stop() -> None:
        drain.close()  # as whoever is closed closes it
        await asyncio.sleep(0)
        ended.append(True)

    drain = Drain(lambda: None, stop=stop)
    with drain, drain:
        assert len(reactor.triggers) == 1
    await reactor.stop()
    assert ended == [True]


async def test_what_was_closed_before_is_not_asked(reactor: SurroundingReactor) -> None:
    drain = Drain(lambda: None, stop=nobody)
    with drain:
        drain.close()
        drain.close()
    assert reactor.triggers == []


async def test_a_reactor_that_does_not_run_us_is_left_alone(
    reactor: SurroundingReactor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threadable, "isInIOThread", lambda: False)
    drain = Drain(lambda: None, stop=nobody)
    drain.listen()
    reactor.running = False
    monkeypatch.setattr(threadable, "isInIOThread", lambda: True)
    drain.listen()
    assert reactor.triggers == []


async def test_where_nobody_has_a_reactor_none_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, REACTOR, raising=False)
    drain = Drain(lambda: None, stop=nobody)
    drain.listen()
    drain.close()
    assert REACTOR not in sys.modules
