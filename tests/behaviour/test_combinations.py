"""What a request can ask for at once, at every door, in both isolations: each part holds, and guesses change none."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from demo_model.tools import ADD, WEATHER
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.engine.gguf_files import rewrite
from tests.engine.projector_files import picture, png, write_projector

FORM = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}


@pytest.fixture(scope="session")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with a template that opens its thoughts for it."""

    def opened(template: str) -> str:
        return template.replace("<|im_start|>assistant\n{% endif %}", "<|im_start|>assistant\n<think>\n{% endif %}")

    target = tmp_path_factory.mktemp("models") / "thinker.gguf"
    return rewrite(DEMO_MODEL_PATH, target, keys={"tokenizer.chat_template": opened})


@pytest.fixture(scope="session")
def projector(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_projector(tmp_path_factory.mktemp("models") / "projector.gguf")


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, thinker: Path, projector: Path) -> dict[str, Any]:
    demo = str(DEMO_MODEL_PATH)
    return {
        "data_dir": tmp_path / "data",
        "demo": False,
        "models": {
            "plain": str(thinker),
            "looks": {"path": str(thinker), "speculation": "lookup"},
            "sees": {"path": str(thinker), "mmproj": projector},
            "calls": {"path": demo, "speculation": "lookup"},
        },
        "engine": {"isolation": request.param, "threads": 1, "n_ctx": 768, "slots": 4},
    }


def ask(model: str, text: str, **more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": text}]
    return {"model": model, "messages": messages, "temperature": 0, "max_tokens": 60, **more}


async def test_a_form_after_thoughts_with_probabilities_is_the_same_with_guesses(door: Door) -> None:
    token = await token_for(door, "plain", "looks")
    asked: dict[str, Any] = {
        "guided_json": FORM, "thinking_budget_tokens": 4, "logprobs": True, "top_logprobs": 2, "stop": ["}"]
    }  # fmt: skip
    found = []
    for model in ("plain", "looks"):
        answer = await door.chat(ask(model, "What is the capital of France?", **asked), token)
        assert answer.status == 200, answer.body
        (choice,) = answer.body["choices"]
        # The stop string ends what is otherwise bound to be completed, and is not part of it.
        assert json.loads(choice["message"]["content"] + "}") in ({"n": 1}, {"n": 2})
        assert choice["finish_reason"] == "stop"
        assert choice["message"]["reasoning_content"]
        tokens = choice["logprobs"]["content"]
        assert all(0 < len(one["top_logprobs"]) <= 2 for one in tokens)
        usage = answer.body["usage"]
        assert 4 <= usage["completion_tokens_details"]["reasoning_tokens"] < usage["completion_tokens"]
        chunks = await door.stream(ask(model, "What is the capital of France?", **asked), token)
        deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
        for field in ("reasoning_content", "content"):
            assert "".join(delta.get(field) or "" for delta in deltas) == choice["message"][field]
        found.append((choice["message"], [one["token"] for one in tokens], usage["completion_tokens"]))
    assert found[0] == found[1]


async def test_each_of_several_streamed_answers_calls_its_tools_with_probabilities_beside(door: Door) -> None:
    token = await token_for(door, "calls")
    body = ask("calls", "What is the weather in Paris?", tools=[WEATHER, ADD], n=2, logprobs=True, top_logprobs=1)
    chunks = await door.stream({**body, "stream_options": {"include_usage": True}}, token)

    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    for index in range(2):
        mine = [choice for choice in choices if choice["index"] == index]
        pieces = [piece["function"] for choice in mine for piece in choice["delta"].get("tool_calls") or []]
        assert pieces[0]["name"] == "get_weather"
        assert json.loads("".join(piece.get("arguments") or "" for piece in pieces)) == {"city": "Paris"}
        assert mine[-1]["finish_reason"] == "tool_calls"
        tokens = [token for choice in mine if choice["logprobs"] for token in choice["logprobs"]["content"]]
        assert is_a_call(tokens)
    assert chunks[-1]["usage"]["completion_tokens"] > 2 * len("Paris")

    whole = await door.chat(body, token)
    for choice in whole.body["choices"]:
        (call,) = choice["message"]["tool_calls"]
        assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
        assert is_a_call(choice["logprobs"]["content"])


def is_a_call(tokens: list[dict[str, Any]]) -> bool:
    """Whether these are the tokens of a call as the model wrote it, each with its likeliest."""
    assert all(token["logprob"] <= 0 and len(token["top_logprobs"]) == 1 for token in tokens)
    text = bytes(byte for token in tokens for byte in token["bytes"]).decode()
    return "get_weather" in text and '"Paris"' in text


async def test_thoughts_about_a_picture_have_their_budget_and_the_form_comes_behind_them(door: Door) -> None:
    token = await token_for(door, "sees")
    data = base64.b64encode(png(picture("red", "ball"))).decode()
    parts: list[dict[str, Any]] = [
        {"type": "text", "text": "Repeat after me: "},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
    ]
    body = ask("sees", "", thinking_budget_tokens=4, guided_choice=["red ball", "blue box"], n=2)
    body["messages"][0]["content"] = parts
    answer = await door.chat(body, token)
    assert answer.status == 200, answer.body
    for choice in answer.body["choices"]:
        assert choice["message"]["content"] in ("red ball", "blue box")
        assert choice["message"]["reasoning_content"]
    chunks = await door.stream(body, token)
    deltas = [choice for chunk in chunks for choice in chunk["choices"] if choice["index"] == 0]
    said = "".join(one["delta"].get("content") or "" for one in deltas)
    assert said == answer.body["choices"][0]["message"]["content"]


async def test_tools_and_a_form_for_the_answer_that_calls_none(door: Door) -> None:
    token = await token_for(door, "calls")
    answer = await door.chat(ask("calls", "Hello!", tools=[WEATHER], tool_choice="none", guided_json=FORM), token)
    assert answer.status == 200, answer.body
    assert json.loads(answer.text) in ({"n": 1}, {"n": 2})
