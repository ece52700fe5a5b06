"""An engine that lives and does not move is ended, and nobody else is."""

import asyncio
import os
import signal
import threading
from contextlib import aclosing
from pathlib import Path

import pytest

from bodhi_asgi.clock import StillClock
from bodhi_asgi.engine.errors import EngineLost, ModelDown, ModelLoadFailed, RequestQuarantined
from bodhi_asgi.engine.process import watch
from bodhi_asgi.engine.process.breaker import DEATHS, FIRST_REST_S, LAST_REST_S, WITHIN_S, Breaker
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO, LONG, POISON, answer, change_engines, first_text, wait_until, work
from tests.engine.process.test_death import kill


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A watch that asks ten times as often, so that its patience ends ten times as soon."""
    monkeypatch.setattr(watch, "TICK_S", watch.TICK_S / 10)
    monkeypatch.setattr(watch, "LATE_S", watch.LATE_S / 10)


async def test_a_stopped_engine_is_ended_within_ten_seconds_and_the_next_request_served(
    make_engine: MakeEngine,
) -> None:
    reasons: list[str] = []
    engine = make_engine(ECHO, on_died=reasons.append)
    async with aclosing(engine.submit(work(LONG))) as deltas:
        await first_text(deltas)
        kill(engine, signal.SIGSTOP)
        async with asyncio.timeout(10):
            with pytest.raises(EngineLost):
                async for _ in deltas:
                    pass
    async with asyncio.timeout(5):
        assert await answer(engine, work()) != ""
    await wait_until(lambda: bool(reasons))
    assert reasons == ["it did not answer for 5 s, so it was ended; ended by SIGKILL"]


@pytest.mark.usefixtures("quick")
async def test_a_request_that_hangs_is_tried_alone_once_and_then_quarantined(make_engine: MakeEngine) -> None:
    reasons: list[str] = []
    engine = make_engine(POISON, on_died=reasons.append)
    async with asyncio.timeout(20):
        with pytest.raises(RequestQuarantined):
            await answer(engine, work("poison: hang", spec=POISON))
        assert await answer(engine, work("fine", spec=POISON)) != ""
    assert len(reasons) == engine.restarts == 2
    assert "did not move" in reasons[0]
    assert "ended by SIGABRT" in reasons[0]


@pytest.mark.usefixtures("quick")
async def test_a_reader_that_stands_still_is_no_hang(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    async with aclosing(engine.submit(work(LONG))) as deltas:
        said = [(await anext(deltas)).text]
        connection = engine._supervisor.live
        assert connection is not None
        asked = connection._numbers
        await wait_until(lambda: connection._numbers > asked + 2 * watch.STILL_TICKS)
        said += [delta.text async for delta in deltas]
    assert "".join(said) == LONG.rstrip() or "".join(said) == LONG
    assert engine.restarts == 0


@pytest.mark.usefixtures("quick")
async def test_a_host_that_blocks_its_own_loop_does_not_blame_the_engine(make_engine: MakeEngine) -> None:
    engine = make_engine(POISON)
    slow = asyncio.ensure_future(answer(engine, work("poison: sleep 0.3 a b c d e f g h", spec=POISON)))
    await wait_until(lambda: engine.state == "ready")
    for _ in range(watch.SILENT_TICKS + 1):
        await asyncio.sleep(0.01)
        threading.Event().wait(watch.LATE_S + 0.05)
    async with asyncio.timeout(20):
        assert await slow != ""
    assert engine.restarts == 0


async def test_a_stopped_engine_holds_up_nobody_who_only_looks(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(ECHO)
    await engine.start()
    assert (await engine.stats()).slots_total == ECHO.slots
    kill(engine, signal.SIGSTOP)
    monkeypatch.setattr("bodhi_asgi.engine.client.STATS_S", 0.1)
    async with asyncio.timeout(2):
        assert (await engine.stats()).slots_total == 0
    kill(engine, signal.SIGCONT)


@pytest.mark.usefixtures("quick")
async def test_nobody_is_asked_while_nothing_is_awaited(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    assert await answer(engine, work()) != ""
    connection = engine._supervisor.live
    assert connection is not None
    task = connection.watch._task
    assert task is not None
    async with asyncio.timeout(20):
        await task


async def test_a_stopped_engine_that_nobody_uses_is_cleared_away_by_the_next_host(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bodhi_asgi.engine.process.connection.HANDSHAKE_S", 0.3)
    first = make_engine(ECHO)
    await first.start()
    kill(first, signal.SIGSTOP)
    second = make_engine(ECHO)
    async with asyncio.timeout(20):
        assert await answer(second, work()) != ""
        assert await answer(first, work()) != ""
    assert first.pid == second.pid


@pytest.mark.usefixtures("quick")
async def test_a_model_that_hangs_while_it_is_loaded_is_given_up(
    make_engine: MakeEngine, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "STILL_TICKS_LOADING", 3)
    change_engines(short_dir, monkeypatch, "EngineLoop.start = EngineLoop.stop = lambda self: None")
    engine = make_engine(ECHO)
    async with asyncio.timeout(20):
        with pytest.raises(ModelLoadFailed, match="did not move"):
            await engine.start()


async def test_an_engine_that_dies_in_a_loop_is_left_to_rest_with_its_reason(make_engine: MakeEngine) -> None:
    clock = StillClock()
    engine = make_engine(POISON, clock=clock)
    async with asyncio.timeout(60):
        for number in range(2):
            with pytest.raises(RequestQuarantined):
                await answer(engine, work(f"poison: segv {number}", spec=POISON))
        with pytest.raises(ModelDown) as caught:
            await answer(engine, work("poison: segv 3", spec=POISON))
        assert engine.restarts == DEATHS
        assert (caught.value.status, caught.value.retry_after_s) == (503, FIRST_REST_S)
        with pytest.raises(ModelDown):
            await answer(engine, work("innocent", spec=POISON))
        await wait_until(lambda: "SIGSEGV" in engine.reason)
        assert engine.state == "down"
        clock.advance(FIRST_REST_S)
        assert await answer(engine, work("innocent", spec=POISON)) != ""
    assert (engine.state, engine.reason) == ("ready", "")


def test_the_breaker_rests_twice_as_long_each_time_and_closes_with_an_answer() -> None:
    clock = StillClock()
    breaker = Breaker(clock)
    assert (breaker.left_s, breaker.backoff_s) == (0, 0)
    backoffs = []
    for _ in range(DEATHS - 1):
        breaker.died()
        backoffs.append(round(breaker.backoff_s, 1))
        assert breaker.left_s == 0
    assert backoffs == [0.2, 0.4, 0.8, 1.6]
    rests = []
    for _ in range(8):
        breaker.died()
        rests.append(breaker.left_s)
        clock.advance(breaker.left_s)
        if rests[-1] == LAST_REST_S:
            break
    assert rests == [1, 2, 4, 8, 16, 32, 60]
    breaker.served()
    breaker.died()
    assert (breaker.left_s, breaker.backoff_s) == (0, 0.2)


def test_deaths_that_lie_far_apart_are_no_loop() -> None:
    clock = StillClock()
    breaker = Breaker(clock)
    for _ in range(4 * DEATHS):
        breaker.died()
        clock.advance(WITHIN_S / (DEATHS - 1))
        assert breaker.left_s == 0


def test_a_process_that_is_gone_already_needs_no_end(make_engine: MakeEngine) -> None:
    child = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(child, 0)
    make_engine(ECHO)._supervisor._remove(child)
