"""What callers have of each other, at every door and in both isolations: nothing of what is computed, a fair share of
the places, and no trouble with who does not read.
"""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.behaviour.test_chat import ask

SLOW = "poison: sleep 0.02 " + "word " * 5000
"""Minutes of talk, for whoever has a place."""

LONG = "word " * 600
"""More than a reader has credits for: unread, its answer stands still in the middle."""

BEGINNING = " ".join(f"word{number}" for number in range(40))
SHARING = {"own": "caller", "common": "all", "fresh": "none"}


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    shared = {name: {"path": name, "prefix_sharing": sharing} for name, sharing in SHARING.items()}
    return {
        "data_dir": tmp_path / "data",
        "models": {**shared, "parrot": "parrot"},
        "demo": False,
        "engine": {"runner": "poison", "isolation": request.param, "n_ctx": 16_384, "slots": 2, "linger_s": 0},
    }


async def test_what_one_caller_has_computed_makes_no_other_sooner_unless_all_may_share(door: Door) -> None:
    ann, bob = [await token_for(door, *SHARING) for _ in range(2)]

    async def cached(model: str, token: str) -> bool:
        body = {"model": model, "messages": [{"role": "user", "content": BEGINNING}], "max_tokens": 2}
        answer = await door.chat(body, token)
        assert answer.status == 200, answer.body
        return bool(answer.body["usage"]["prompt_tokens_details"]["cached_tokens"])

    for model, again, other in (("own", True, False), ("common", True, True), ("fresh", False, False)):
        assert not await cached(model, ann)
        assert (await cached(model, ann), await cached(model, bob)) == (again, other), model


async def test_who_comes_last_has_his_turn_and_who_does_not_read_keeps_nobody_waiting(door: Door) -> None:
    ann, bob = [await token_for(door, "parrot") for _ in range(2)]
    unread = await door.app.server.chat_completion({**ask(LONG), "stream": True})
    said = ""
    async with asyncio.timeout(60):
        while not said:
            said += (await anext(unread)).text
    # One of two places is that of an answer nobody reads; then one caller would have both for minutes, twice over.
    greedy = [asyncio.create_task(door.chat(ask(SLOW), ann)) for _ in range(4)]
    async with asyncio.timeout(60):
        while [row.running + row.waiting for row in (await door.app.server.loaded_models()).data] != [5]:
            await asyncio.sleep(0.01)
        assert (await door.chat(ask("good morning"), bob)).text == "good morning"
        assert (await door.chat(ask("good evening"), bob)).text == "good evening"
    assert not any(task.done() for task in greedy)
    for task in greedy:
        task.cancel()
    await asyncio.wait(greedy)
    async with asyncio.timeout(60):
        said += "".join([chunk.text async for chunk in unread])
    assert said.split() == LONG.split()
