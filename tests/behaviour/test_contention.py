"""What happens at every door, in both isolations, where more is asked than there is: a full queue, and late answers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.doors import Door
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
    async with asyncio.timeout(20):
        while [row.waiting for row in (await door.app.server.loaded_models()).data] != [requests]:
            await asyncio.sleep(0.01)


async def nobody_is_served(door: Door) -> None:
    async with asyncio.timeout(20):
        while [row.running + row.waiting for row in (await door.app.server.loaded_models()).data] != [0]:
            await asyncio.sleep(0.01)


async def test_a_full_queue_is_told_with_the_place_in_line_and_who_waited_is_answered(door: Door, token: str) -> None:
    speaks = asyncio.Event()

    async def listen() -> None:
        async with await door.app.server.chat_completion(ask(SLOW), stream=True) as stream:
            async for chunk in stream:
                if chunk.text:
                    speaks.set()

    speaking = asyncio.create_task(listen())
    async with asyncio.timeout(20):
        await speaks.wait()
    waiting = []
    for text in ("first", "second"):
        waiting.append(asyncio.create_task(door.chat(ask(text), token)))
        await waits(door, len(waiting))

    refused = await door.chat(ask("third"), token)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert "number 3 in line" in refused.error["message"]
    speaking.cancel()
    await asyncio.wait([speaking])
    assert [(await answer).text for answer in waiting] == ["first", "second"]


@pytest.mark.parametrize("request_timeout_s", [1.0])
async def test_an_answer_that_takes_too_long_is_ended_and_leaves_nothing_behind(door: Door, token: str) -> None:
    await door.app.server.load_model("parrot")
    late = await door.chat(ask(SLOW), token)
    assert (late.status, late.error["code"]) == (503, "deadline_exceeded"), late.body
    await nobody_is_served(door)
