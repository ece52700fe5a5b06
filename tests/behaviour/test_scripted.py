"""A script stands in for the models of a server behind every door, and what it is asked is known afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiApp, Grants
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.testing import Script, scripted
from tests.behaviour.doors import DOORS, Door, open_door

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}},
}


@pytest.fixture
def script() -> Script:
    return Script(strict=False)


@pytest.fixture(params=DOORS)
async def door(request: pytest.FixtureRequest, tmp_path: Path, script: Script) -> AsyncIterator[Door]:
    """A server as a host has it in production, and a script in place of its model."""
    app = BodhiApp(data_dir=tmp_path / "never", models={"large": "owner/repo/large.gguf"}, engine={"slots": 2})
    stand = scripted(app, script)
    stand.__enter__()
    async with open_door(request.param, app) as opened:
        yield opened
    with stand._stack:
        assert app.status == "stopped"
    assert not (tmp_path / "never").exists(), "a test touches nothing of the host's"


@pytest.fixture
async def token(door: Door) -> str:
    created = await door.app.server.create_api_token("test", grants=Grants(models=frozenset({"large"})))
    return created.token.reveal()


def asking(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "large", "messages": [{"role": "user", "content": text}], **more}


async def test_every_door_says_what_is_written_and_knows_who_asked(door: Door, token: str, script: Script) -> None:
    script.says("It is Paris.", reasoning="Easy.", tokens=(1200, 34))
    answer = await door.chat(asking("What is the capital of France?", temperature=0, max_tokens=99), token)

    assert answer.text == "It is Paris."
    assert answer.body["choices"][0]["message"]["reasoning_content"] == "Easy."
    assert answer.body["usage"]["prompt_tokens"] == 1200
    assert answer.body["usage"]["total_tokens"] == 1234
    asked = script.assert_asked("capital", times=1, model="large", temperature=0, max_tokens=99)
    assert asked is script.only
    assert asked.messages == [{"role": "user", "content": "What is the capital of France?"}]
    (listed,) = (await door.app.server.list_api_tokens()).data
    assert asked.who == f"token:{listed.id}"
    assert asked.outcome == "answered"
    assert script.usage(asked.who).total_tokens == 1234


async def test_answers_stream_word_by_word_and_calls_arrive_as_calls(door: Door, token: str, script: Script) -> None:
    script.says("Let me look.", when="weather")
    script.calls("weather", {"city": "Oslo"}, when="call")
    chunks = await door.stream(asking("How is the weather?"), token)
    said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks if chunk["choices"]]
    assert "".join(word for word in said if word) == "Let me look."

    answer = await door.chat(asking("Now call.", tools=[WEATHER]), token)
    (call,) = answer.body["choices"][0]["message"]["tool_calls"]
    assert (call["function"]["name"], call["function"]["arguments"]) == ("weather", '{"city": "Oslo"}')
    assert answer.body["choices"][0]["finish_reason"] == "tool_calls"
    assert script.last.tools == ["weather"]


async def test_errors_of_the_script_are_those_of_the_engine(door: Door, token: str, script: Script) -> None:
    script.fails(EngineBusy("there is a queue", retry_after_s=7))
    answer = await door.chat(asking("hello"), token)
    assert (answer.status, answer.error["message"]) == (429, "there is a queue")
    assert script.only.outcome == "failed"


async def test_a_request_without_an_answer_is_an_error_and_a_failure(door: Door, token: str, script: Script) -> None:
    script.says("for somebody else", when="tea")
    answer = await door.chat(asking("coffee, please"), token)
    assert (answer.status, answer.error["code"]) == (500, "not_scripted")
    with pytest.raises(AssertionError, match=r"(?s)no answer to #1 .*'coffee, please'.*when 'tea'"):
        script.check()


async def test_permissions_limits_and_names_are_those_of_the_host(door: Door, token: str, script: Script) -> None:
    assert (await door.chat(asking("hello"), None)).status == 401
    assert (await door.chat({**asking("hello"), "model": "demo"}, token)).status == 403
    assert (await door.chat({**asking("hello"), "model": "nobody"}, token)).status == 404
    assert (await door.chat(asking("hello", temperature=9), token)).status == 400
    script.assert_nothing_asked()


async def test_vectors_are_those_of_the_script_or_of_the_words(door: Door, token: str, script: Script) -> None:
    script.embeds("exactly this", [3.0, 4.0] + [0.0] * 254)
    texts = ["exactly this", "the cat sat", "a cat", "a dog"]
    answer = await door.ask("embeddings", {"model": "large", "input": texts}, token)
    this, cat_sat, cat, dog = (each["embedding"] for each in answer.body["data"])
    assert this[:2] == pytest.approx([0.6, 0.8])
    assert near(cat_sat, cat) > near(cat_sat, dog)
    (read,) = script.read
    assert read.texts == tuple(texts)

    ranked = await door.ask("rerank", {"model": "large", "query": "cat", "documents": ["a dog", "a cat"]}, token)
    assert [each["index"] for each in ranked.body["results"]] == [1, 0]


def near(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
