"""Models in memory, managed at every door: listed, loaded ahead, unloaded, and never under somebody's answer."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import Grants, Scope
from bodhi_asgi.events.types import ModelLoaded, ModelLoading, ModelUnloaded
from tests.behaviour.doors import Door
from tests.behaviour.test_chat import ask


@pytest.fixture(params=["thread", "process"])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    engine = {"runner": "echo", "isolation": request.param, "n_ctx": 4096, "slots": 2, "linger_s": 0}
    models = {"parrot": "parrot", "secret": "secret"}
    return {"data_dir": tmp_path / "data", "models": models, "demo": False, "engine": engine}


async def operator(door: Door, *models: str) -> str:
    """A token that may use and manage ``models``."""
    scopes = [Scope.INFERENCE, Scope.ENGINES_READ, Scope.ENGINES_WRITE]
    created = await door.app.server.create_api_token("op", scopes=scopes, grants=Grants(models=frozenset(models)))
    return created.token.reveal()


async def loaded(door: Door, token: str) -> list[str]:
    answer = await door.engines(token)
    assert answer.status == 200
    return [model["model"] for model in answer.body["data"]]


async def become(door: Door, token: str, *models: str) -> None:
    async with asyncio.timeout(20):
        while await loaded(door, token) != list(models):
            await asyncio.sleep(0.01)


async def test_a_model_is_loaded_ahead_listed_and_unloaded(door: Door) -> None:
    token = await operator(door, "parrot")
    assert await loaded(door, token) == []
    answer = await door.load("parrot", {"keep_alive": "1h30m"}, token)
    assert (answer.status, answer.body["model"], answer.body["state"]) == (200, "parrot", "ready")
    assert (answer.body["slots"], answer.body["context_tokens"], answer.body["hosts"]) == (2, 4096, 1)
    assert 5390 < answer.body["expires_in_s"] <= 5400
    (row,) = (await door.engines(token)).body["data"]
    assert (row["model"], row["running"], row["progress"]) == ("parrot", 0, 1.0)
    assert (await door.chat(ask("hello"), token)).text == "hello"
    assert (await door.unload("parrot", token)).status == 204
    assert (await door.unload("parrot", token)).status == 204
    await become(door, token)
    assert (await door.chat(ask("hello again"), token)).text == "hello again"


async def test_one_sees_and_unloads_what_one_was_granted(door: Door, token: str) -> None:
    await door.app.server.load_model("secret")
    limited = await operator(door, "parrot")
    assert await loaded(door, limited) == []
    assert (await door.unload("secret", limited)).status == 404
    assert (await door.unload("nobody", limited)).status == 404
    assert (await door.load("secret", {}, limited)).status == 403
    refusals = [await door.engines(token), await door.load("parrot", {}, token), await door.unload("parrot", token)]
    for refused in refusals:
        assert (refused.status, refused.error["code"]) == (403, "scope_missing")
    assert [row.model for row in (await door.app.server.loaded_models()).data] == ["secret"]


async def test_who_loads_and_unloads_stands_in_the_audit_trail(door: Door, token: str) -> None:
    able = await operator(door, "parrot")
    await door.load("parrot", {}, able)
    await door.unload("parrot", able, force=True)
    assert (await door.unload("parrot", token)).status == 403
    services = door.app.server.services
    rows = (await services.audit.list(await door.app.server.caller())).data
    told = [(row.action, row.subject, str(row.outcome)) for row in rows if row.action.startswith("engine.")]
    assert told == [
        ("engine.unload", "parrot", "done"),
        ("engine.load", "parrot", "done"),
    ]


async def test_a_request_says_how_long_its_model_stays(door: Door, token: str) -> None:
    able = await operator(door, "parrot")
    events = door.app.server.services.events
    with events.subscribe(ModelUnloaded) as unloaded:
        assert (await door.chat(ask("hello", keep_alive=-1), token)).status == 200
        (row,) = (await door.engines(able)).body["data"]
        assert (row["expires_in_s"], row["idle_s"] is None) == (None, False)
        assert (await door.chat(ask("hello", keep_alive="0s"), token)).status == 200
        async with asyncio.timeout(20):
            assert await anext(unloaded) == ModelUnloaded("parrot", "idle")
        # What an alias says of it holds where a request says nothing.
        made = await door.app.server.create_api_token(
            "writer", scopes=[Scope.MODELS_WRITE, Scope.INFERENCE], grants=Grants.everything()
        )
        writer = made.token.reveal()
        alias = {"alias": "guest", "repo": "bodhi/settings", "filename": "parrot", "keep_alive": "0s"}
        assert (await door.alias("create", alias, token=writer)).status == 201
        assert (await door.chat({**ask("hello"), "model": "guest"}, writer)).status == 200
        async with asyncio.timeout(20):
            assert await anext(unloaded) == ModelUnloaded("parrot", "idle")
    refused = await door.chat(ask("hello", keep_alive="soon"), token)
    assert (refused.status, refused.error["param"]) == (400, "keep_alive")
    assert "'5m'" in refused.error["message"]


@pytest.mark.parametrize(
    ("verb", "body"),
    [
        ("completion", {"prompt": "hello"}),
        ("embeddings", {"input": "hello"}),
        ("rerank", {"query": "hello", "documents": ["hello"]}),
    ],
)
async def test_every_other_request_for_numbers_or_words_says_it_too(
    door: Door, token: str, verb: str, body: dict[str, Any]
) -> None:
    able = await operator(door, "parrot")
    body = {"model": "parrot", **body}
    events = door.app.server.services.events
    with events.subscribe(ModelUnloaded) as unloaded:
        assert (await door.ask(verb, {**body, "keep_alive": -1}, token)).status == 200
        (row,) = (await door.engines(able)).body["data"]
        assert row["expires_in_s"] is None
        assert (await door.ask(verb, {**body, "keep_alive": "0s"}, token)).status == 200
        async with asyncio.timeout(20):
            assert await anext(unloaded) == ModelUnloaded("parrot", "idle")
    refused = await door.ask(verb, {**body, "keep_alive": "soon"}, token)
    assert (refused.status, refused.error["param"]) == (400, "keep_alive")


async def test_a_load_is_told_as_events(door: Door) -> None:
    events = door.app.server.services.events
    with events.subscribe(ModelLoading) as loading, events.subscribe(ModelLoaded) as done:
        await door.app.server.load_model("parrot")
        async with asyncio.timeout(20):
            assert await anext(done) == ModelLoaded("parrot")
            assert (await anext(loading)).model == "parrot"
