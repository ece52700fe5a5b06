"""A slow reader stops its own answer and no other."""

import asyncio
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest

from bodhi_asgi.engine.process.protocol import CREDITS
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO, LONG, answer, change_engines, work
from tests.engine.process.wire import Wire


async def test_seven_streams_proceed_beside_a_stalled_one_which_then_goes_on(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    await engine.start()
    async with asyncio.timeout(30), AsyncExitStack() as stack:
        stalled = await stack.enter_async_context(aclosing(engine.submit(work(LONG))))
        pieces = [(await anext(stalled)).text]
        others = await asyncio.gather(*(answer(engine, work(LONG)) for _ in range(7)))
        assert len(set(others)) == 1
        stats = await engine.stats()
        assert stats.running + stats.waiting == 1
        assert stats.completion_tokens < 7 * 600 + 3 * CREDITS
        pieces += [delta.text async for delta in stalled]
    assert "".join(pieces) == others[0]


async def test_a_stalled_stream_that_is_closed_frees_its_slot(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    async with aclosing(engine.submit(work(LONG))) as stalled:
        await anext(stalled)
        async with asyncio.timeout(20):
            while not (await engine.stats()).running:
                await asyncio.sleep(0.01)
    async with asyncio.timeout(20):
        while (await engine.stats()).running:
            await asyncio.sleep(0.01)
    assert (await engine.stats()).slots_used == 0


async def test_a_suspect_waits_for_a_stalled_stream_for_a_while_only(
    make_engine: MakeEngine, runtime_dir: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_engines(short_dir, monkeypatch, "traffic.PATIENCE_S = 0.2")
    engine = make_engine(ECHO)
    async with asyncio.timeout(20), aclosing(engine.submit(work(LONG))) as stalled:
        async for delta in stalled:
            if delta.text:
                break
        wire = await Wire.open(runtime_dir)
        await wire.shake_hands()
        wire.say({"op": "submit", "id": 1, "work": work(), "alone": True})
        wire.say({"op": "submit", "id": 2, "work": work(), "alone": False})
        wire.say({"op": "describe", "id": 3})
        assert (await wire.hear("description"))["requests"] == 3
        assert [(await wire.hear("started"))["id"] for _ in range(2)] == [1, 2]
        await wire.close()


async def test_a_long_answer_is_read_whole_and_in_order(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    text = " ".join(str(number) for number in range(300))
    assert await answer(engine, work(text)) == await answer(engine, work(text))
