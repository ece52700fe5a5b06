"""What is special about the engine in a thread of the host."""

import asyncio
import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import EngineStopped
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.mail import UNREAD_LIMIT, Mail
from bodhi_asgi.engine.types import Chunk
from bodhi_asgi.errors import NotStarted
from tests.engine.support import ECHO, becomes_idle, text_of, work

TALK = " ".join(str(number) for number in range(150))


async def test_a_batch_of_steps_wakes_the_loop_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pipe behind ``call_soon_threadsafe`` also carries signals, and loses them when it is full."""
    loop = asyncio.get_running_loop()
    mail = Mail(loop)
    woken: list[str] = []
    wake = loop.call_soon_threadsafe
    monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: (woken.append("."), wake(*args))[1])
    steps = 3 * UNREAD_LIMIT
    for _ in range(steps):
        mail.deliver([Chunk("nobody", text="x")])
    assert len(woken) == 1
    await asyncio.sleep(0)
    mail.deliver([Chunk("nobody", text="x")])
    assert len(woken) == 2


async def test_an_unread_answer_is_paused_within_its_limit_though_the_loop_stands_still() -> None:
    engine: Any = ThreadEngine(replace(ECHO, n_ctx=100_000))
    await engine.start()
    stream = engine.submit(work(TALK))
    await anext(stream)
    # The event loop is held here, as a host's synchronous code would hold it.
    scheduler, until_s = engine._engine._scheduler, time.monotonic() + 30
    while not any(sequence.is_paused for sequence in tuple(scheduler._sequences.values())):
        assert time.monotonic() < until_s, "an answer that nobody reads is not paused"
        threading.Event().wait(0.001)
    assert 2 * 150 > 150 + 2 * UNREAD_LIMIT >= (await engine.stats()).cells_used > 150
    said = [delta.text async for delta in stream]
    assert "".join(said) == TALK
    await becomes_idle(engine)
    await engine.aclose()


async def test_an_engine_belongs_to_the_loop_that_started_it() -> None:
    engine = ThreadEngine(ECHO)
    with pytest.raises(NotStarted):
        await text_of(engine, work("hello"))
    await engine.start()

    def elsewhere() -> None:
        async def ask() -> None:
            with pytest.raises(NotStarted, match="event loop"):
                await text_of(engine, work("hello"))

        asyncio.run(ask())

    await asyncio.to_thread(elsewhere)
    await engine.aclose()
    with pytest.raises(EngineStopped):
        await text_of(engine, work("hello"))


def test_an_engine_whose_loop_was_closed_ends_its_work() -> None:
    engine = ThreadEngine(replace(ECHO, runner="poison"))
    loop = asyncio.new_event_loop()
    loop.run_until_complete(engine.start())
    stream = engine.submit(work(f"poison: sleep 0.01 {TALK}"))
    loop.run_until_complete(anext(stream))  # type: ignore[arg-type]
    loop.close()

    async def look() -> None:
        await becomes_idle(engine)
        await engine.aclose()

    asyncio.run(look())
    assert not engine.is_running


async def test_a_reader_that_catches_up_while_it_is_being_paused_is_not_left_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The engine is told to pause and to go on by two threads; in the wrong order, the answer would stand still."""
    pausing, has_caught_up = threading.Event(), threading.Event()
    pause = EngineLoop.pause

    def dawdle(loop: EngineLoop, work_id: str) -> None:
        pausing.set()
        # As long as a thread may well be without its turn.
        has_caught_up.wait(0.3)
        pause(loop, work_id)

    monkeypatch.setattr(EngineLoop, "pause", dawdle)
    engine = ThreadEngine(replace(ECHO, n_ctx=100_000))
    await engine.start()
    said: list[str] = []
    async with asyncio.timeout(20):
        async for delta in engine.submit(work(TALK)):
            said.append(delta.text)
            if len(said) == 1:
                pausing.wait(5)
            if len(said) == UNREAD_LIMIT - 2:
                has_caught_up.set()
    assert "".join(said) == TALK
    await engine.aclose()
