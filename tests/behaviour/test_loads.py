"""A load that is under way, and a model that is stopped by force, at every door and in both isolations.

Who waits keeps a load going, and the last who leaves ends it. Force ends everything at once: a load, answers, and what
is still being prepared; whoever is there is told so, and the next request loads the model anew.
"""

import asyncio
import json
import threading
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiError
from bodhi_asgi.events.types import ModelLoaded, ModelUnloaded
from bodhi_asgi.formats.openai_chat.errors import error_body
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Answer, DirectDoor, Door, HttpDoor
from tests.behaviour.test_chat import ask
from tests.behaviour.test_engines import become, operator

SLOW = "poison: sleep 0.05 " + "word " * 2500
"""Two minutes of talk, that are read as they come."""


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    """The model is loaded once this file is there."""
    return tmp_path / "gate"


@pytest.fixture(params=["thread", "process"])
def settings(tmp_path: Path, request: pytest.FixtureRequest, gate: Path) -> dict[str, Any]:
    engine = {"runner": "poison", "isolation": request.param, "n_ctx": 16_384, "slots": 1, "linger_s": 0}
    models = {"parrot": f"poison: load until {gate}"}
    engine |= {"load_patience_s": 0}
    return {"data_dir": tmp_path / "data", "models": models, "demo": False, "engine": engine}


@pytest.fixture
async def able(door: Door) -> str:
    """A token that may use and manage the model."""
    return await operator(door, "parrot")


async def until(fact: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not fact():
            await asyncio.sleep(0.01)


def waiting_for_it(door: Door) -> int:
    """How many requests wait for the load."""
    return sum(state.waiting for state in door.app.server.services.engines.states().values())


async def somebody_waits(door: Door, token: str, requests: int) -> list["asyncio.Task[Answer]"]:
    """So many requests for a model that stands before its gate, each known to wait for it."""
    waiting = []
    for number in range(requests):
        waiting.append(asyncio.create_task(door.chat(ask(f"hello {number}"), token)))
        await until(lambda number=number: waiting_for_it(door) == number + 1)  # type: ignore[misc]
    async with asyncio.timeout(60):
        while [row.state for row in (await door.app.server.loaded_models()).data] != ["loading"]:
            await asyncio.sleep(0.01)
    return waiting


async def leave(task: "asyncio.Task[Any]") -> None:
    task.cancel()
    await asyncio.wait([task])


async def heard(door: Door, body: dict[str, Any], token: str, speaks: asyncio.Event) -> list[dict[str, Any]]:
    """All frames of a stream, its error included, by whichever door; ``speaks`` is set at its first text."""
    frames: list[dict[str, Any]] = []

    def take(frame: dict[str, Any]) -> None:
        frames.append(frame)
        if any(choice["delta"].get("content") for choice in frame.get("choices", ())):
            speaks.set()

    if isinstance(door, HttpDoor):
        headers = {"Authorization": f"Bearer {token}"}
        async with door.client.stream("POST", "v1/chat/completions", json=body, headers=headers) as response:
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    take({"done": True} if line == "data: [DONE]" else json.loads(line[6:]))
        return frames
    assert isinstance(door, DirectDoor)
    try:
        async with aclosing(await door._verbs(token).chat_completion(body)) as chunks:
            async for chunk in chunks:
                take(chunk.model_dump())
    except BodhiError as error:
        frames.append(error_body(error))
    return frames


def is_told_of_the_end(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (503, "engine_stopped"), answer.body
    assert "unloaded by an operator" in answer.error["message"]


async def test_a_load_goes_on_for_whoever_waits_and_ends_with_the_last(
    door: Door, token: str, able: str, gate: Path
) -> None:
    with door.app.server.services.events.subscribe(ModelLoaded) as loaded:
        first, second = await somebody_waits(door, token, 2)
        await leave(first)
        await until(lambda: waiting_for_it(door) == 1)
        (row,) = (await door.engines(able)).body["data"]
        assert (row["model"], row["state"]) == ("parrot", "loading")

        await leave(second)
        await become(door, able)  # no process, and no thread that loads
        await until(lambda: not [each for each in threading.enumerate() if each.name == "bodhi-engine-parrot"])
        (state,) = door.app.server.services.engines.states().values()
        assert (state.state, state.waiting) == ("idle", 0)

        third, fourth = await somebody_waits(door, token, 2)
        await leave(third)
        await until(lambda: waiting_for_it(door) == 1)
        gate.touch()
        assert (await fourth).text == "hello 1"
        assert await anext(loaded) == ModelLoaded("parrot")  # who left had never loaded it


async def test_a_load_is_ended_by_force_and_all_who_wait_for_it_are_told(
    door: Door, token: str, able: str, gate: Path
) -> None:
    with door.app.server.services.events.subscribe(ModelLoaded) as loaded:
        waiting = await somebody_waits(door, token, 2)
        ahead = asyncio.create_task(door.load("parrot", {"keep_alive": "1h"}, able))
        stream = asyncio.create_task(door.chat({**ask("hello"), "stream": True}, token))
        await until(lambda: waiting_for_it(door) == 4)
        refused = await door.unload("parrot", able)
        assert (refused.status, refused.error["code"]) == (409, "engine_at_work")
        assert "is being loaded" in refused.error["message"]
        assert waiting_for_it(door) == 4

        assert (await door.unload("parrot", able, force=True)).status == 204
        for ended in (*waiting, ahead, stream):
            is_told_of_the_end(await ended)
        await become(door, able)

        gate.touch()
        # At once: nothing is wrong with the model.
        assert (await door.chat(ask("hello"), token)).text == "hello"
        assert await anext(loaded) == ModelLoaded("parrot")


async def test_force_ends_answers_and_who_waits_for_his_turn_with_a_typed_error(
    door: Door, token: str, able: str, gate: Path
) -> None:
    gate.touch()
    speaks = asyncio.Event()
    with door.app.server.services.events.subscribe(ModelUnloaded) as unloaded:
        speaking = asyncio.create_task(heard(door, {**ask(SLOW), "stream": True}, token, speaks))
        await asyncio.wait_for(speaks.wait(), 60)
        in_line = asyncio.create_task(door.chat(ask("hello"), token))
        async with asyncio.timeout(60):
            while [row.waiting for row in (await door.app.server.loaded_models()).data] != [1]:
                await asyncio.sleep(0.01)
        refused = await door.unload("parrot", able)
        assert (refused.status, refused.error["code"]) == (409, "engine_at_work")

        assert (await door.unload("parrot", able, force=True)).status == 204
        *_, last = await speaking
        assert last["error"]["code"] == "engine_stopped"  # and nothing behind it says that it was done
        assert "unloaded by an operator" in last["error"]["message"]
        is_told_of_the_end(await in_line)
        async with asyncio.timeout(60):
            assert await anext(unloaded) == ModelUnloaded("parrot", "stopped")
    assert (await door.chat(ask("hello"), token)).text == "hello"


async def test_force_ends_what_is_being_prepared(door: Door, token: str, able: str, gate: Path, tmp_path: Path) -> None:
    gate.touch()
    read_gate, long = tmp_path / "read", "word " * 4000
    held = {"model": "parrot", "prompt": f"poison: read until {read_gate} {long}"}
    preparing = []
    for number, body in enumerate((held, {**held, "prompt": long}), 1):
        preparing.append(asyncio.create_task(door.ask("tokenize", body, token)))
        async with asyncio.timeout(60):
            while [row.under_way for row in await door.app.server.services.engines.engines()] != [number]:
                await asyncio.sleep(0.01)
    refused = await door.unload("parrot", able)
    assert (refused.status, refused.error["code"]) == (409, "engine_at_work")
    ending = asyncio.create_task(door.unload("parrot", able, force=True))
    for ended in preparing:  # told before the reader comes back, which cannot be interrupted
        is_told_of_the_end(await ended)
    read_gate.touch()
    assert (await ending).status == 204
    assert (await door.chat(ask("hello"), token)).text == "hello"


async def test_keep_alive_zero_ends_nothing_and_unloads_behind_the_last_answer(
    door: Door, token: str, able: str, gate: Path
) -> None:
    parting = await token_for(door, "parrot")
    with door.app.server.services.events.subscribe(ModelUnloaded) as unloaded:
        waiting = await somebody_waits(door, token, 2)
        waiting.append(asyncio.create_task(door.chat(ask("goodbye", keep_alive=0), parting)))
        await until(lambda: waiting_for_it(door) == 3)
        gate.touch()
        assert [(await answer).text for answer in waiting] == ["hello 0", "hello 1", "goodbye"]
        async with asyncio.timeout(60):
            assert await anext(unloaded) == ModelUnloaded("parrot", "idle")

        speaks = asyncio.Event()
        speaking = asyncio.create_task(heard(door, {**ask(SLOW, max_tokens=12), "stream": True}, token, speaks))
        await asyncio.wait_for(speaks.wait(), 60)
        assert (await door.load("parrot", {"keep_alive": 0}, able)).status == 200
        *_, last, done = [*(await speaking), {"done": True}][-2:] if isinstance(door, DirectDoor) else await speaking
        assert done == {"done": True}
        assert last["choices"][0]["finish_reason"] == "length"
        async with asyncio.timeout(60):
            assert await anext(unloaded) == ModelUnloaded("parrot", "idle")
