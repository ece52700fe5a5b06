"""What happens at every door, in both isolations, where more is asked than there is: a full queue, and late answers."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.doors import Door
from tests.behaviour.test_chat import ask

SLOW = "poison: sleep 0.05 " + "word " * 400


@pytest.fixture
def request_timeout_s() -> float:
    return 600


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, request_timeout_s: float) -> dict[str, Any]:
    engine = {"runner": "poison", "isolation": request.param, "n_ctx": 4096, "slots": 1, "linger_s": 0}
    engine |= {"queue_limit": 2, "queue_limit_per_caller": 2, "request_timeout_s": request_timeout_s}
    return {"data_dir": tmp_path / "data", "models": {"parrot": "parrot"}, "demo": False, "engine": engine}


async def waits(door: Door, requests: int) -> None:
    """Return when so many requests stand in line."""
    async with asyncio.timeout(20):
        while [row.waiting for row in (await door.app.server.loaded_models()).data] != [requests]:
            await asyncio.sleep(0.01)


async def test_a_full_queue_is_told_with_the_place_in_line_and_who_waited_is_answered(door: Door, token: str) -> None:
    speaking = await door.app.server.chat_completion(ask(SLOW, stream=True))
    async with asyncio.timeout(20):
        async for chunk in speaking:
            if chunk.text:
                break
    waiting = []
    for text in ("first", "second"):
        waiting.append(asyncio.create_task(door.chat(ask(text), token)))
        await waits(door, len(waiting))

    refused = await door.chat(ask("third"), token)
    assert (refused.status, refused.error["code"]) == (429, "rate_limit_exceeded")
    assert "number 3 in line" in refused.error["message"]
    await speaking.aclose()
    assert [(await answer).text for answer in waiting] == ["first", "second"]


@pytest.mark.parametrize("request_timeout_s", [1.0])
async def test_an_answer_that_takes_too_long_is_ended_and_the_next_is_given(door: Door, token: str) -> None:
    late = await door.chat(ask(SLOW), token)
    assert (late.status, late.error["code"]) == (503, "deadline_exceeded"), late.body
    assert "longer than it may" in late.error["message"]
    again = await door.chat(ask("hello"), token)
    assert (again.status, again.body["choices"][0]["message"]["content"]) == (200, "hello")
