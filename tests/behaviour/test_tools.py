"""Tools at every door: the demo model calls them, is told what they say, and answers; whole and streamed."""

import json
from pathlib import Path
from typing import Any

import openai
import pytest

from bodhi_asgi import BodhiApp
from demo_model.tools import ADD, WEATHER
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Answer, Door
from tests.servers import serving

RAIN = '{"weather": "rainy", "temperature": 12}'


@pytest.fixture(params=["thread", "process"])
def settings(tmp_path: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    return {"data_dir": tmp_path / "data", "engine": {"isolation": request.param, "threads": 1, "n_ctx": 1024}}


@pytest.fixture
async def token(door: Door) -> str:
    return await token_for(door, "demo")


def ask(*messages: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"model": "demo", "messages": list(messages), "temperature": 0, "max_tokens": 64, **more}


def user(text: str) -> dict[str, Any]:
    return {"role": "user", "content": text}


def called(answer: Answer) -> list[tuple[str, Any]]:
    calls = answer.body["choices"][0]["message"].get("tool_calls") or []
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


async def test_a_tool_conversation_goes_from_question_to_call_to_answer(door: Door, token: str) -> None:
    question = user("What is the weather in Paris?")
    answer = await door.chat(ask(question, tools=[WEATHER, ADD]), token)

    assert answer.status == 200, answer.body
    choice = answer.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert called(answer) == [("get_weather", {"city": "Paris"})]
    call = choice["message"]["tool_calls"][0]
    assert call["type"] == "function"
    assert call["id"].startswith("call_")

    result = {"role": "tool", "tool_call_id": call["id"], "content": RAIN}
    chunks = await door.stream(ask(question, choice["message"], result, tools=[WEATHER, ADD]), token)
    said = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert "rainy" in said
    assert "12" in said
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"


async def test_a_streamed_call_has_its_name_first_and_its_arguments_in_pieces(door: Door, token: str) -> None:
    chunks = await door.stream(ask(user("What is 3 plus 4?"), tools=[WEATHER, ADD]), token)

    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    pieces = [piece for delta in deltas for piece in delta.get("tool_calls") or []]
    assert pieces[0]["function"]["name"] == "add"
    assert pieces[0]["id"]
    assert pieces[0]["type"] == "function"
    assert all(piece["index"] == 0 for piece in pieces)
    assert not any(piece.get("id") or piece["function"].get("name") for piece in pieces[1:])
    assert len(pieces) > 3
    assert json.loads("".join(piece["function"]["arguments"] for piece in pieces)) == {"a": 3, "b": 4}
    assert not any(delta.get("content") for delta in deltas)
    assert chunks[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_the_choice_of_tools_is_kept(door: Door, token: str) -> None:
    async def calls(text: str, choice: Any, **more: Any) -> list[tuple[str, Any]]:
        answer = await door.chat(ask(user(text), tools=[WEATHER, ADD], tool_choice=choice, **more), token)
        assert answer.status == 200, answer.body
        return called(answer)

    add = {"type": "function", "function": {"name": "add"}}
    only_add = {"mode": "required", "tools": [add]}
    assert await calls("What is the weather in Rome?", "none") == []
    assert await calls("Hello!", "auto") == []
    assert [name for name, _ in await calls("What is the weather in Rome?", "required")] == ["get_weather"]
    assert len(await calls("Hello!", "required", parallel_tool_calls=False)) == 1
    assert {name for name, _ in await calls("Hello!", add)} == {"add"}
    allowed = {"type": "allowed_tools", "allowed_tools": only_add}
    assert {name for name, _ in await calls("What is the weather in Rome?", allowed)} == {"add"}


async def test_arguments_satisfy_a_schema_that_the_model_has_never_seen(door: Door, token: str) -> None:
    schema = {
        "type": "object",
        "properties": {"mood": {"enum": ["calm", "wild"]}, "size": {"type": "integer", "minimum": 3, "maximum": 5}},
        "required": ["mood", "size"],
        "additionalProperties": False,
    }
    tool = {"type": "function", "function": {"name": "paint", "parameters": schema}}
    choice = {"type": "function", "function": {"name": "paint"}}
    body = ask(user("Hello!"), tools=[tool], tool_choice=choice, parallel_tool_calls=False, max_tokens=400)
    answer = await door.chat(body, token)

    [(name, arguments)] = called(answer)
    assert name == "paint"
    assert arguments["mood"] in ("calm", "wild")
    assert 3 <= arguments["size"] <= 5


async def test_functions_are_the_older_form_of_tools(door: Door, token: str) -> None:
    question = user("What is the weather in Paris?")
    answer = await door.chat(ask(question, functions=[WEATHER["function"]]), token)

    choice = answer.body["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"]["name"] == "get_weather"
    result = {"role": "function", "name": "get_weather", "content": RAIN}
    answer = await door.chat(ask(question, choice["message"], result, functions=[WEATHER["function"]]), token)
    assert "rainy" in answer.text
    chunks = await door.stream(ask(question, functions=[WEATHER["function"]]), token)
    pieces = [chunk["choices"][0]["delta"].get("function_call") for chunk in chunks]
    assert next(piece for piece in pieces if piece)["name"] == "get_weather"


NAMED = {"type": "function", "function": {"name": "fly"}}
REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"tools": [WEATHER] * 129}, "tools", "at most 128"),
    ({"tools": [WEATHER, WEATHER]}, "tools", "once"),
    ({"tools": [{"type": "function", "function": {"name": "no spaces"}}]}, "tools.0.function.name", "pattern"),
    ({"tools": [WEATHER], "tool_choice": NAMED}, "tool_choice", "not among"),
    ({"tool_choice": "required"}, "tool_choice", "no tools"),
    ({"tools": [WEATHER], "functions": [WEATHER["function"]]}, "functions", "older form"),
    ({"function_call": "auto"}, "function_call", "'functions'"),
    (
        {"tools": [{"type": "function", "function": {"name": "x", "parameters": {"not": {}}}}]},
        "tools.0.function.parameters",
        "'not'",
    ),
    ({"messages": [{"role": "tool", "tool_call_id": "x", "content": "y"}]}, "messages.0.tool_call_id", "no call"),
    ({"messages": [{"role": "tool", "content": "y"}]}, "messages.0.tool_call_id", "required"),
    ({"messages": [{"role": "user", "content": "y", "tool_call_id": "x"}]}, "messages.0.tool_call_id", "role 'tool'"),
    ({"reasoning_effort": "high"}, "reasoning_effort", "does not think"),
    ({"thinking_budget_tokens": 9}, "thinking_budget_tokens", "does not think"),
    ({"chat_template_kwargs": {"tokenize": True}}, "chat_template_kwargs.tokenize", "enable_thinking"),
    ({"chat_template_kwargs": {"thinking": [1]}}, "chat_template_kwargs.thinking", "short text"),
]


async def test_what_cannot_be_done_with_tools_is_refused_by_the_name_of_the_field(door: Door, token: str) -> None:
    for change, param, says in REFUSED:
        answer = await door.chat({**ask(user("Hello!")), **change}, token)
        assert answer.status == 400, (change, answer.body)
        assert answer.error["param"] == param, answer.body
        assert says in answer.error["message"]
    assert (await door.chat(ask(user("Hello!")), token)).status == 200


async def test_openais_own_client_holds_a_tool_conversation(tmp_path: Path) -> None:
    app = BodhiApp(data_dir=tmp_path / "data", engine={"isolation": "thread", "threads": 1, "n_ctx": 1024})
    async with serving(app) as base, app:
        created = await app.server.create_api_token("test", grants=_all())
        client = openai.AsyncOpenAI(base_url=f"{base}/v1", api_key=created.token.reveal())
        messages: list[Any] = [user("What is the weather in Paris?")]
        options: dict[str, Any] = {"model": "demo", "tools": [WEATHER], "temperature": 0}
        async with client:
            first = await client.chat.completions.create(messages=messages, **options)
            message = first.choices[0].message
            assert message.tool_calls is not None
            messages += [message, {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": RAIN}]
            second = await client.chat.completions.create(messages=messages, **options)
        assert "rainy" in (second.choices[0].message.content or "")


def _all() -> Any:
    from bodhi_asgi import Grants

    return Grants(models=frozenset({"demo"}))
