"""What happens at every door, in both isolations, where more is asked than there is: a full queue, and late answers."""

import asyncio
import math
import time
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.engine.types import EngineStats
from tests.behaviour.doors import Answer, Door
from tests.behaviour.test_chat import ask

SLOW = "poison: sleep 0.05 " + "word " * 2500
"""Two minutes of talk and more, that are read as they come: an answer that nobody reads gives its place away."""


@pytest.fixture
def request_timeout_s() -> float:
    return 600


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, request_timeout_s: float) -> dict[str, Any]:
    engine = {"runner": "poison", "isolation": request.param, "n_ctx": 16_384, "slots": 1, "linger_s": 0}
    engine |= {"queue_limit": 2, "queue_limit_per_caller": 2, "request_timeout_s": request_timeout_s}
    return {"data_dir": tmp_path / "data", "models": {"parrot": "parrot"}, "demo": False, "engine": engine}


async def waits(door: Door, requests: int) -> None:
    """Return when so many requests stand in line."""
    async with asyncio.timeout(60):
        while [row.waiting for row in (await door.app.server.loaded_models()).data] != [requests]:
            await asyncio.sleep(0.01)


async def somebody_speaks(door: Door) -> asyncio.Task[None]:
    """Have the host be told something long, and return once it is being told."""
    speaks = asyncio.Event()

    async def listen() -> None:
        async with await door.app.server.chat_completion(ask(SLOW), stream=True) as stream:
            async for chunk in stream:
                if chunk.text:
                    speaks.set()

    speaking = asyncio.create_task(listen())
    async with asyncio.timeout(60):
        await speaks.wait()
    return speaking


async def engines(door: Door) -> list[EngineStats]:
    """What runs and waits, without what is only on its way."""
    return list((await door.app.server.services.engines.stats()).values())


def is_told_to_come_back(refused: Answer, position: int) -> None:
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded"), refused.body
    assert f"number {position} in line" in refused.error["message"]
    assert refused.position == position
    assert refused.retry_after_s in range(1, 61)


async def nobody_is_served(door: Door) -> None:
    async with asyncio.timeout(60):
        while [row.running + row.waiting for row in (await door.app.server.loaded_models()).data] != [0]:
            await asyncio.sleep(0.01)


async def test_a_full_queue_is_told_with_the_place_in_line_and_who_waited_is_answered(door: Door, token: str) -> None:
    asked_at_s = time.monotonic()
    speaking = await somebody_speaks(door)
    speaks_since_s = time.monotonic()
    waiting = []
    for text in ("first", "second"):
        waiting.append(asyncio.create_task(door.chat(ask(text), token)))
        await waits(door, len(waiting))

    text = {"model": "parrot", "prompt": "third"}
    for refused in (
        await door.chat(ask("third"), token),
        await door.chat({**ask("third"), "stream": True}, token),
        await door.complete(text, token),
        await door.complete({**text, "stream": True}, token),
    ):
        # One that would have streamed says so by its status, and nothing streams.
        is_told_to_come_back(refused, 3)

    before_s = time.monotonic()
    refused = await door.chat(ask("third"), token)
    # Three turns, of which nobody knows more than how long the one who speaks has taken by now.
    least, most = (3 * so_far for so_far in (before_s - speaks_since_s, time.monotonic() - asked_at_s))
    assert refused.retry_after_s is not None
    assert min(60, max(1, math.ceil(least))) <= refused.retry_after_s <= min(60, max(1, math.ceil(most)))
    speaking.cancel()
    await asyncio.wait([speaking])
    assert [(await answer).text for answer in waiting] == ["first", "second"]


async def test_a_full_line_of_texts_that_are_read_is_told_with_the_place_in_it(door: Door, token: str) -> None:
    slow = {"model": "parrot", "input": ["poison: sleep 0.02 word"] * 2000}
    reading = [asyncio.create_task(door.ask("embeddings", slow, token)) for _ in range(3)]
    async with asyncio.timeout(60):
        while [stats.running + stats.waiting for stats in await engines(door)] != [3]:
            await asyncio.sleep(0.01)
    for verb, body in (
        ("embeddings", {"input": "fourth"}),
        ("rerank", {"query": "fourth", "documents": ["a"]}),
    ):
        is_told_to_come_back(await door.ask(verb, {"model": "parrot", **body}, token), 4)
    for task in reading:
        task.cancel()
    await asyncio.wait(reading)
    await nobody_is_served(door)


async def test_a_full_line_of_long_texts_is_told_with_the_place_in_it(door: Door, token: str, tmp_path: Path) -> None:
    gate, long = tmp_path / "gate", "word " * 4000
    held = {"model": "parrot", "prompt": f"poison: read until {gate} {long}"}
    waiting = []
    for number in range(1, 4):
        waiting.append(
            asyncio.create_task(door.ask("tokenize", held if number == 1 else {**held, "prompt": long}, token))
        )
        await waits(door, number)
    for verb, body in (
        ("tokenize", {"prompt": long}),
        ("detokenize", {"tokens": [5] * 5000}),
        ("apply_template", ask(long)),
        ("completion", {"prompt": long}),
    ):
        is_told_to_come_back(await door.ask(verb, {"model": "parrot", **body}, token), 3)
    is_told_to_come_back(await door.chat(ask(long), token), 3)
    gate.touch()
    assert [(await answer).status for answer in waiting] == [200] * 3


async def test_of_one_callers_requests_the_lowest_priority_goes_first(door: Door, token: str) -> None:
    done: list[str] = []

    async def answered(name: str, **more: Any) -> None:
        # Each takes a moment for every word, so that nobody's answer overtakes another's on its way.
        assert (await door.chat(ask(f"poison: sleep 0.1 {name}", **more), token)).status == 200
        done.append(name)

    speaking = await somebody_speaks(door)
    first = asyncio.create_task(answered("later"))
    await waits(door, 1)
    second = asyncio.create_task(answered("sooner", priority=-1))
    await waits(door, 2)
    speaking.cancel()
    await asyncio.wait([speaking])
    await asyncio.gather(first, second)
    assert done == ["sooner", "later"]
    refused = await door.chat(ask("hello", priority=101), token)
    assert (refused.status, refused.error["param"]) == (400, "priority")


@pytest.mark.parametrize("request_timeout_s", [1.0])
async def test_an_answer_that_takes_too_long_is_ended_and_leaves_nothing_behind(door: Door, token: str) -> None:
    await door.app.server.load_model("parrot")
    late = await door.chat(ask(SLOW), token)
    assert (late.status, late.error["code"]) == (503, "deadline_exceeded"), late.body
    await nobody_is_served(door)
