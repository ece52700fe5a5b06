"""Aliases through every door: made, listed, spoken to, changed while somebody listens, and gone."""

import json
from typing import Any

import pytest

from bodhi_asgi import Grants, Scope
from tests.behaviour.doors import Answer, DirectDoor, Door, HttpDoor

WRITES = (Scope.MODELS_READ, Scope.MODELS_WRITE, Scope.INFERENCE)
PARROT = {"repo": "bodhi/settings", "filename": "parrot"}
MISSING = {"repo": "owner/repo", "filename": "model-Q4_K_M.gguf"}


async def writer(door: Door, **grants: Any) -> str:
    """A token that may manage models."""
    grants = grants or {"all_models": True, "list_models": True}
    created = await door.app.server.create_api_token("writer", scopes=WRITES, grants=Grants(**grants))
    return created.token.reveal()


async def create(door: Door, token: str, alias: str = "poet", **fields: Any) -> dict[str, Any]:
    made = await door.alias("create", {"alias": alias, **PARROT, **fields}, token=token)
    assert made.status == 201, made.body
    return made.body


async def say(door: Door, token: str, text: str = "one two three", **fields: Any) -> Answer:
    return await door.chat({"model": "poet", "messages": [{"role": "user", "content": text}], **fields}, token)


async def test_an_alias_answers_with_what_it_has_in_store(door: Door) -> None:
    token = await writer(door)
    await create(door, token, request_params={"max_tokens": 1, "stop": ["three"]})
    answer = await say(door, token)
    assert (answer.status, answer.body["model"], answer.text) == (200, "poet", "one")
    assert (await say(door, token, max_tokens=40)).text == "one two "
    chunks = await door.stream({"model": "poet", "messages": [{"role": "user", "content": "one two"}]}, token)
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks if chunk["choices"]) == "one"


async def test_an_edited_alias_counts_from_the_next_request_on(door: Door) -> None:
    token = await writer(door)
    made = await create(door, token, request_params={"max_tokens": 1})
    assert (await say(door, token)).text == "one"
    changed = await door.alias(
        "update", made["id"], {"alias": "poet", **PARROT, "context_params": ["--ctx-size 128"]}, token=token
    )
    assert (changed.status, changed.body["context_params"]) == (200, ["--ctx-size 128"])
    assert (await say(door, token)).text == "one two three"
    assert (await say(door, token, "word " * 200)).status == 400
    renamed = await door.alias("update", made["id"], {"alias": "bard", **PARROT}, token=token)
    assert renamed.body["alias"] == "bard"
    assert (await say(door, token)).error["code"] == "model_not_found"


async def test_a_running_stream_ends_as_it_began_when_its_alias_is_edited(door: Door) -> None:
    token = await writer(door)
    made = await create(door, token)
    text = " ".join(f"word{number}" for number in range(60))
    body = {"model": "poet", "messages": [{"role": "user", "content": text}], "stream": True}

    async def edit() -> None:
        params = {"max_tokens": 1, "stop": ["word5"]}
        edited = {"alias": "poet", **PARROT, "request_params": params, "context_params": ["--ctx-size 128"]}
        assert (await door.alias("update", made["id"], edited, token=token)).status == 200

    if isinstance(door, HttpDoor):
        headers = {"Authorization": f"Bearer {token}"}
        async with door.client.stream("POST", "v1/chat/completions", json=body, headers=headers) as response:
            lines = response.aiter_lines()
            chunks = [await anext(lines)]
            await edit()
            chunks += [line async for line in lines]
        read = [json.loads(line[6:]) for line in chunks if line.startswith("data: {")]
    else:
        assert isinstance(door, DirectDoor)
        stream = await door._verbs(token).chat_completion(body)
        read = [(await anext(aiter(stream))).model_dump()]
        await edit()
        read += [chunk.model_dump() async for chunk in stream]
    assert "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in read) == text
    assert (await say(door, token)).text == "one"


async def test_what_a_model_can_do_is_asked_for_by_name(door: Door) -> None:
    token = await writer(door)
    for name in ("tool_use", "reasoning", "vision", "embedding", "rerank", "audio", "infill"):
        listed = await door.all_models(token, capability=name)
        assert (listed.status, listed.body["total"]) == (200, 0)


async def test_aliases_are_copied_fetched_and_removed(door: Door) -> None:
    token = await writer(door)
    made = await create(door, token, request_params={"temperature": 0.5}, keep_alive="5m")
    copied = await door.alias("copy", made["id"], "bard", token=token)
    assert copied.status == 201
    different = {"id", "alias", "created_at", "updated_at"}
    assert {key for key in made if made[key] != copied.body[key]} <= different
    assert (await door.alias("get", copied.body["id"], token=token)).body == copied.body
    assert await door.alias("delete", copied.body["id"], token=token) == Answer(200, None)
    for verb in ("get", "delete"):
        gone = await door.alias(verb, copied.body["id"], token=token)
        assert (gone.status, gone.error["code"]) == (404, "data_service_error-alias_not_found")


async def test_a_name_that_is_taken_is_told_by_its_code(door: Door) -> None:
    token = await writer(door)
    await create(door, token)
    for taken in ("poet", "parrot"):
        refused = await door.alias("create", {"alias": taken, **PARROT}, token=token)
        assert (refused.status, refused.error["code"]) == (400, "data_service_error-alias_exists")
        assert refused.error["param"] == "alias"


async def test_all_models_stand_in_one_list_with_what_may_be_used(door: Door) -> None:
    token = await writer(door)
    await create(door, token)
    await create(door, token, "absent", **MISSING)
    listed = (await door.all_models(token)).body
    assert [(item["alias"], item["source"], item["access"]) for item in listed["data"]] == [
        ("absent", "user", True),
        ("parrot", "model", True),
        ("poet", "user", True),
        ("secret", "model", True),
    ]
    assert (listed["total"], listed["page"], listed["page_size"]) == (4, 1, 30)
    query: dict[str, str | int] = {"type": "model_alias", "sort_order": "desc", "page_size": 1, "page": 2}
    second = (await door.all_models(token, **query)).body
    assert ([item["alias"] for item in second["data"]], second["total"]) == (["absent"], 2)
    reader = await writer(door, models=frozenset({"poet"}))
    assert [item["alias"] for item in (await door.all_models(reader)).body["data"]] == ["poet"]
    assert [model["id"] for model in (await door.models(reader)).body["data"]] == ["poet"]
    assert [model["id"] for model in (await door.models(token)).body["data"]] == ["absent", "parrot", "poet", "secret"]
    assert (await door.model("poet", reader)).body["owned_by"] == "system"


async def test_what_is_asked_for_must_be_granted(door: Door) -> None:
    token = await writer(door)
    made = await create(door, token)
    narrow = await writer(door, models=frozenset({"secret"}))
    forbidden = await door.alias("create", {"alias": "mine", **PARROT}, token=narrow)
    assert (forbidden.status, forbidden.error["code"]) == (403, "token_grant_error-model_forbidden")
    assert (await door.alias("get", made["id"], token=narrow)).status == 404
    created = await door.app.server.create_api_token("reader", grants=Grants.everything())
    refused = await door.alias("delete", made["id"], token=created.token.reveal())
    assert (refused.status, refused.error["code"]) == (403, "scope_missing")
    assert (await door.alias("get", made["id"], token=None)).status == 401


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"alias": "../up"}, "alias"),
        ({"repo": "nowhere"}, "repo"),
        ({"filename": "other"}, "filename"),
        ({"request_params": {"temperature": 9}}, "request_params.temperature"),
        ({"request_params": {"model": "x"}}, "request_params.model"),
        ({"context_params": ["--host 0.0.0.0"]}, "context_params"),
        ({"settings": {"n_ctx": -1}}, "settings.n_ctx"),
        ({"settings": {"n_ctx": 9}, "context_params": ["-c 9"]}, "settings.n_ctx"),
        ({"keep_alive": "soon"}, "keep_alive"),
        ({"owner": "me"}, "owner"),
    ],
)
async def test_what_is_wrong_is_told_by_its_field(door: Door, fields: dict[str, Any], param: str) -> None:
    refused = await door.alias("create", {"alias": "poet", **PARROT, **fields}, token=await writer(door))
    assert (refused.status, refused.error["param"]) == (400, param)


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"page_size": 101},
        {"page": "x"},
        {"sort": "size"},
        {"sort_order": "up"},
        {"type": "all"},
        {"api_format": "x"},
        {"capability": "flying"},
        {"size_min": "-1"},
        {"size_max": str(2**63)},
        {"search": "x" * 257},
        {"type": "," * 257},
    ],
    ids=lambda query: next(iter(query)),
)
async def test_a_list_that_cannot_be_is_refused_by_its_parameter(door: Door, query: dict[str, Any]) -> None:
    refused = await door.all_models(await writer(door), **query)
    assert (refused.status, refused.error["param"]) == (400, next(iter(query)))
