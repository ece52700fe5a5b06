"""An engine dies: what its requests hear, who is tried again, and who is to blame."""

import asyncio
import os
import signal
import sys
from contextlib import aclosing
from pathlib import Path

import pytest

from bodhi_asgi.clock import StillClock
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.errors import DeadlineExceeded, EngineLost, ModelLoadFailed, RequestQuarantined
from bodhi_asgi.engine.process.quarantine import MOST, QUARANTINE_S, Quarantine
from bodhi_asgi.engine.types import Work
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO, LONG, POISON, answer, change_engines, first_text, work
from tests.engine.process.wire import Wire, requests_under_way


def kill(engine: ProcessEngine, how: signal.Signals = signal.SIGKILL) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, how)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT])
async def test_a_stream_ends_with_engine_lost_and_the_next_request_is_served(
    make_engine: MakeEngine, how: signal.Signals
) -> None:
    reasons: list[str] = []
    died = asyncio.Event()

    def on_died(reason: str) -> None:
        reasons.append(reason)
        died.set()

    engine = make_engine(ECHO, on_died=on_died)
    async with aclosing(engine.submit(work(LONG))) as deltas:
        await first_text(deltas)
        kill(engine, how)
        async with asyncio.timeout(2):
            await died.wait()
            with pytest.raises(EngineLost):
                async for _ in deltas:
                    pass
    async with asyncio.timeout(20):
        assert await answer(engine, work()) != ""
    assert engine.restarts == 1
    assert (engine.state, engine.reason) == ("ready", "")
    # While other threads run, the handler that writes down their stacks may die itself; its first word stands.
    assert how.name in reasons[0] or (how == signal.SIGABRT and "Aborted" in reasons[0])


async def test_requests_that_had_yielded_nothing_are_tried_again_unseen(
    make_engine: MakeEngine, runtime_dir: Path
) -> None:
    engine = make_engine(POISON)
    expected = await answer(engine, work("one two three", spec=POISON))
    stranger = await Wire.open(runtime_dir, POISON)
    await stranger.shake_hands()
    stranger.say({"op": "submit", "id": 1, "work": work("poison: hang", spec=POISON), "alone": False})
    await stranger.hear("started")
    waiting = [asyncio.ensure_future(answer(engine, work("one two three", spec=POISON))) for _ in range(3)]
    async with asyncio.timeout(20):
        while await requests_under_way(runtime_dir, POISON) < 4:
            await asyncio.sleep(0.01)
    kill(engine)
    async with asyncio.timeout(15):
        assert await asyncio.gather(*waiting) == [expected] * 3
    assert engine.restarts == 1
    await stranger.close()


async def test_requests_that_never_had_their_turn_are_sent_anew(make_engine: MakeEngine, runtime_dir: Path) -> None:
    engine = make_engine(POISON)
    await engine.start()
    assert engine.pid is not None
    # A suspect of another host hangs at the door, and whoever comes later waits behind it.
    stranger = await Wire.open(runtime_dir, POISON)
    await stranger.shake_hands()
    stranger.say({"op": "submit", "id": 1, "work": work("poison: hang", spec=POISON), "alone": True})
    await stranger.hear("started")
    waiting = asyncio.ensure_future(answer(engine, work("one two three", spec=POISON)))
    async with asyncio.timeout(20):
        while await requests_under_way(runtime_dir, POISON) < 2:
            await asyncio.sleep(0.01)
    kill(engine)
    async with asyncio.timeout(15):
        assert await waiting != ""
    await stranger.close()


@pytest.mark.parametrize("poison", ["segv", "abort", "exit0", "raise", "garbage-frame", "half-frame"])
async def test_a_request_that_ends_the_engine_twice_is_quarantined_and_the_next_one_served(
    make_engine: MakeEngine, poison: str
) -> None:
    engine = make_engine(POISON)
    deadly = work(f"poison: {poison}", spec=POISON)
    async with asyncio.timeout(20):
        with pytest.raises(RequestQuarantined) as caught:
            await answer(engine, deadly)
        assert (caught.value.status, caught.value.code) == (422, "request_quarantined")
        assert engine.restarts == 2
        with pytest.raises(RequestQuarantined):
            await answer(engine, Work("another id", deadly.request))
        assert engine.restarts == 2
        assert await answer(engine, work("fine", spec=POISON)) != ""


async def test_one_poisonous_request_among_many_is_found_and_all_others_complete(make_engine: MakeEngine) -> None:
    engines = [make_engine(POISON) for _ in range(3)]
    await asyncio.gather(*(engine.start() for engine in engines))
    expected = await answer(engines[0], work("a b c", spec=POISON))
    innocent = [answer(engines[number % 3], work("a b c", spec=POISON)) for number in range(15)]
    async with asyncio.timeout(30):
        first, *others = await asyncio.gather(
            answer(engines[0], work("poison: segv", spec=POISON)), *innocent, return_exceptions=True
        )
    assert isinstance(first, RequestQuarantined)
    assert others == [expected] * 15
    assert max(engine.restarts for engine in engines) <= 2


async def test_a_deadline_counts_on_through_a_restart(make_engine: MakeEngine) -> None:
    clock = StillClock()
    engine = make_engine(POISON, clock=clock, on_died=lambda _: clock.advance(60))
    await engine.start()
    slow = Work("1", GenerateRequest("poison", TextPrompt("poison: segv")), deadline_s=30)
    async with asyncio.timeout(15):
        with pytest.raises((DeadlineExceeded, RequestQuarantined)):
            await answer(engine, slow)


@pytest.mark.parametrize("after_s", [0.0, 0.3])
async def test_a_model_that_kills_the_engine_while_it_is_loaded_is_given_up_with_the_reason(
    make_engine: MakeEngine, short_dir: Path, monkeypatch: pytest.MonkeyPatch, after_s: float
) -> None:
    kill = "os.kill, (os.getpid(), signal.SIGSEGV)"
    change_engines(
        short_dir, monkeypatch, f"EngineLoop.start = lambda self: threading.Timer({after_s}, {kill}).start()"
    )
    engine = make_engine(ECHO)
    async with asyncio.timeout(20):
        with pytest.raises(ModelLoadFailed, match=r"\(ended by SIGSEGV\)$"):
            await engine.start()
    assert engine.state == "failed"
    assert "Segmentation fault" in engine.reason


async def test_a_model_that_takes_too_long_to_load_is_given_up(
    make_engine: MakeEngine, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_engines(short_dir, monkeypatch, "EngineLoop.start = EngineLoop.stop = lambda self: None")
    engine = make_engine(ECHO, start_timeout_s=1.0)
    async with asyncio.timeout(20):
        with pytest.raises(ModelLoadFailed, match="within 1 s"):
            await engine.start()


async def test_an_engine_that_cannot_even_start_is_given_up_with_the_reason(
    make_engine: MakeEngine, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = short_dir / "python3"
    wrong.write_text("#!/bin/sh\necho no engine here >&2\nexit 3\n")
    wrong.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(wrong))
    async with asyncio.timeout(20):
        with pytest.raises(ModelLoadFailed, match="exit code 3"):
            await make_engine(ECHO).start()


def test_the_quarantine_ends_and_is_bounded() -> None:
    clock = StillClock()
    quarantine = Quarantine(clock)
    refusal = quarantine.add("a")
    assert refusal.retry_after_s == QUARANTINE_S
    clock.advance(QUARANTINE_S - 1)
    with pytest.raises(RequestQuarantined) as caught:
        quarantine.check("a")
    assert caught.value.retry_after_s == 1
    clock.advance(1)
    quarantine.check("a")
    for number in range(MOST + 1):
        quarantine.add(str(number))
    quarantine.check("0")
    with pytest.raises(RequestQuarantined):
        quarantine.check(str(MOST))
