"""Whole conversations with the demo model in llama.cpp, at every door and in both isolations: turn after turn, streamed
with tools, beside texts that are read, and in too little room."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from demo_model.tools import ADD, WEATHER
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door

RAIN = '{"weather": "rainy", "temperature": 12}'
TEXTS = ["the cat sat on the mat", "steamboats cross wide rivers", "bread bakes in the oven"]


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    demo = str(DEMO_MODEL_PATH)
    return {
        "data_dir": tmp_path / "data",
        "demo": False,
        "models": {
            "talks": {"path": demo, "pooling": "mean", "n_ctx": 2048},
        },
        "engine": {"isolation": request.param, "threads": 1, "slots": 4, "linger_s": 0},
    }


@pytest.fixture
async def token(door: Door) -> str:
    return await token_for(door, "talks")


def ask(messages: list[dict[str, Any]], **more: Any) -> dict[str, Any]:
    return {"model": "talks", "messages": messages, "temperature": 0, "max_tokens": 64, **more}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def gathered(chunks: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of a stream, with its calls."""
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, dict[str, Any]] = {}
    for delta in (choice["delta"] for chunk in chunks for choice in chunk["choices"]):
        if delta.get("content"):
            message["content"] = (message["content"] or "") + delta["content"]
        for piece in delta.get("tool_calls") or []:
            function = piece["function"]
            if piece.get("id"):
                named = {"name": function["name"], "arguments": ""}
                calls[piece["index"]] = {"id": piece["id"], "type": "function", "function": named}
            calls[piece["index"]]["function"]["arguments"] += function.get("arguments") or ""
    return message | ({"tool_calls": list(calls.values())} if calls else {})


async def test_a_conversation_with_tools_is_carried_from_one_stream_into_the_next(door: Door, token: str) -> None:
    messages, tools = [user("What is the weather in Paris?")], [WEATHER, ADD]
    first = gathered(await door.stream(ask(messages, tools=tools), token))
    (call,) = first["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("get_weather", {"city": "Paris"})

    messages += [first, {"role": "tool", "tool_call_id": call["id"], "content": RAIN}]
    second = gathered(await door.stream(ask(messages, tools=tools), token))
    assert "rainy" in second["content"]
    assert "12" in second["content"]

    messages += [second, user("What is 3 plus 4?")]
    third = gathered(await door.stream(ask(messages, tools=tools), token))
    assert json.loads(third["tool_calls"][0]["function"]["arguments"]) == {"a": 3, "b": 4}


async def test_each_turn_of_a_conversation_computes_only_what_is_new(door: Door, token: str) -> None:
    messages: list[dict[str, Any]] = []
    told = 0
    for question in ("What is the capital of France?", "Count to twelve", "What is the capital of Spain?"):
        messages.append(user(question))
        if len(messages) == 3:  # one of the turns is streamed
            chunks = await door.stream(ask(messages, stream_options={"include_usage": True}), token)
            usage, message = chunks[-1]["usage"], gathered(chunks)
        else:
            answer = await door.chat(ask(messages), token)
            usage, message = answer.body["usage"], answer.body["choices"][0]["message"]
        cached = usage["prompt_tokens_details"]["cached_tokens"]
        # The last token of an answer is drawn and was never computed; the template ends the turn behind it.
        assert max(0, told - 1) <= cached < usage["prompt_tokens"]
        assert usage["prompt_tokens"] - cached < 40, "a question, and the marks around it"
        told = usage["prompt_tokens"] + usage["completion_tokens"] - 1
        messages.append({"role": "assistant", "content": message["content"]})


async def test_texts_are_read_beside_four_that_are_spoken(door: Door, token: str) -> None:
    reading = {"model": "talks", "input": TEXTS}
    alone = await door.ask("embeddings", reading, token)
    assert alone.status == 200, alone.body
    long = ask([user("Count to fifty")], max_tokens=400, ignore_eos=True)
    async with AsyncExitStack() as stack:
        streams = []
        for _ in range(4):
            stream = await door.app.server.chat_completion(long, stream=True)
            streams.append(await stack.enter_async_context(stream))
        assert all([await says_more(stream) for stream in streams])
        beside = await door.ask("embeddings", reading, token)
        assert all([await says_more(stream) for stream in streams]), "they speak behind it too"
    for one, other in zip(alone.body["data"], beside.body["data"], strict=True):
        # Company changes the shapes of batches, and with them what quantised weights round.
        assert sum(a * b for a, b in zip(one["embedding"], other["embedding"], strict=True)) > 0.999
    assert alone.body["usage"] == beside.body["usage"]


async def says_more(stream: Any) -> bool:
    async with asyncio.timeout(60):
        async for chunk in stream:
            if chunk.text:
                return True
    return False
