"""Several models in one budget of memory, at every door and in both isolations: who makes room, who never does, and
what is told to whom there is no room for.
"""

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import Grants, Scope
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.budget import needed_bytes
from bodhi_asgi.events.types import ModelUnloaded
from tests.behaviour.doors import Answer, Door
from tests.engine.support import LLAMA

NEEDED = needed_bytes(replace(LLAMA, n_ctx=512, slots=2))


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    engine = {"isolation": request.param, "threads": 1, "n_ctx": 512, "slots": 2, "linger_s": 0}
    return {
        "data_dir": tmp_path / "data",
        "models": {name: str(DEMO_MODEL_PATH) for name in ("one", "two", "three")},
        "demo": False,
        "engine": {**engine, "memory_bytes": int(2.5 * NEEDED)},
    }


def ask(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": "Hello!"}], "temperature": 0, **more}


def is_told_to_come_back(refused: Answer) -> None:
    assert (refused.status, refused.error["code"]) == (503, "no_room_for_model"), refused.body
    assert refused.retry_after_s is not None
    assert refused.retry_after_s > 0
    assert "'two'" in refused.error["message"]


async def test_the_least_recently_used_makes_room_and_who_is_at_work_never_does(door: Door) -> None:
    scopes = [Scope.INFERENCE, Scope.ENGINES_READ, Scope.ENGINES_WRITE]
    made = await door.app.server.create_api_token("op", scopes=scopes, grants=Grants.everything())
    token = made.token.reveal()

    async def loaded() -> set[str]:
        return {row["model"] for row in (await door.engines(token)).body["data"] if row["state"] == "ready"}

    with door.app.server.services.events.subscribe(ModelUnloaded) as unloaded:
        for model in ("one", "two", "one", "three"):
            assert (await door.chat(ask(model), token)).status == 200
        async with asyncio.timeout(60):
            assert await anext(unloaded) == ModelUnloaded("two", "room")
    assert await loaded() == {"one", "three"}

    async with AsyncExitStack() as stack:
        for model in ("one", "three"):
            # At work for as long as nobody reads it.
            endless = ask(model, ignore_eos=True, stream=True)
            stream = await stack.enter_async_context(await door.app.server.chat_completion(endless))
            await anext(stream)
        is_told_to_come_back(await door.chat(ask("two"), token))
        is_told_to_come_back(await door.ask("tokenize", {"model": "two", "prompt": "a"}, token))
        is_told_to_come_back(await door.load("two", {}, token))
        assert await loaded() == {"one", "three"}

    async with asyncio.timeout(60):
        while (answer := await door.chat(ask("two"), token)).status == 503:
            await asyncio.sleep(0.05)  # until word of those who left has come to the engines, and the refusal is over
    assert answer.status == 200, answer.body
    assert "two" in await loaded()
