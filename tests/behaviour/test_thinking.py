"""Thoughts at every door: told apart from the answer, counted, and ended by a budget.

The model is the demo model with a template that opens the thinking: it does not know how to end it, which is what a
budget is for.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.engine.gguf_files import rewrite

OPENED = "<|im_start|>assistant\n{% if enable_thinking is not defined or enable_thinking %}<think>\n{% endif %}"


@pytest.fixture(scope="session")
def thinker(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model with another template."""

    def opened(template: str) -> str:
        assert template.count("<|im_start|>assistant\n{% endif %}") == 1
        return template.replace("<|im_start|>assistant\n{% endif %}", OPENED + "{% endif %}")

    target = tmp_path_factory.mktemp("models") / "thinker.gguf"
    return rewrite(DEMO_MODEL_PATH, target, keys={"tokenizer.chat_template": opened})


@pytest.fixture(params=["thread", "process"])
def settings(tmp_path: Path, thinker: Path, request: pytest.FixtureRequest) -> dict[str, Any]:
    return {
        "data_dir": tmp_path / "data",
        "demo": False,
        "models": {"thinker": str(thinker)},
        "engine": {"isolation": request.param, "threads": 1, "n_ctx": 512},
    }


@pytest.fixture
async def token(door: Door) -> str:
    return await token_for(door, "thinker")


def ask(**more: Any) -> dict[str, Any]:
    messages = [{"role": "user", "content": "What is the capital of France?"}]
    return {"model": "thinker", "messages": messages, "temperature": 0, "max_tokens": 40, **more}


async def test_thoughts_are_told_apart_counted_and_ended_by_their_budget(door: Door, token: str) -> None:
    answer = await door.chat(ask(thinking_budget_tokens=5), token)
    assert answer.status == 200, answer.body
    message = answer.body["choices"][0]["message"]
    assert message["reasoning_content"]
    assert "think>" not in message["reasoning_content"] + (message["content"] or "")
    usage = answer.body["usage"]
    thought = usage["completion_tokens_details"]["reasoning_tokens"]
    assert 5 <= thought <= 5 + len("</think>")
    assert thought < usage["completion_tokens"]

    chunks = await door.stream(ask(thinking_budget_tokens=5), token)
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
    assert "".join(delta.get("reasoning_content") or "" for delta in deltas) == message["reasoning_content"]
    assert "".join(delta.get("content") or "" for delta in deltas) == message["content"]

    several = ask(thinking_budget_tokens=5, n=3, temperature=1, seed=3)
    answer = await door.chat(several, token)
    assert answer.status == 200, answer.body
    messages = [choice["message"] for choice in answer.body["choices"]]
    assert len(messages) == 3
    assert all(message["reasoning_content"] for message in messages)
    thought = answer.body["usage"]["completion_tokens_details"]["reasoning_tokens"]
    assert 3 * 5 <= thought <= 3 * (5 + len("</think>"))
    chunks = await door.stream(several, token)
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    for index in range(3):
        mine = [choice["delta"] for choice in choices if choice["index"] == index]
        places = [field for delta in mine for field in ("reasoning_content", "content") if delta.get(field)]
        assert "reasoning_content" in places
        assert places == sorted(places, reverse=True), "thoughts come before what is said"


async def test_no_effort_means_no_thoughts(door: Door, token: str) -> None:
    for off in ({"reasoning_effort": "none"}, {"chat_template_kwargs": {"enable_thinking": False}}):
        answer = await door.chat(ask(**off), token)
        assert "reasoning_content" not in answer.body["choices"][0]["message"]
        assert "Paris" in answer.text
        assert answer.body["usage"]["completion_tokens_details"]["reasoning_tokens"] == 0


async def test_a_form_begins_after_the_thoughts(door: Door, token: str) -> None:
    schema = {"type": "object", "properties": {"n": {"enum": [1, 2]}}, "required": ["n"], "additionalProperties": False}
    answer = await door.chat(ask(guided_json=schema, thinking_budget_tokens=4), token)
    assert answer.status == 200, answer.body
    message = answer.body["choices"][0]["message"]
    assert json.loads(message["content"]) in ({"n": 1}, {"n": 2})
    assert message["reasoning_content"]


async def test_thoughts_without_end_are_thoughts_to_the_last_token(door: Door, token: str) -> None:
    answer = await door.chat(ask(max_tokens=6), token)
    assert answer.body["choices"][0]["finish_reason"] in ("length", "stop")
    assert not answer.body["choices"][0]["message"]["content"]
    details = answer.body["usage"]["completion_tokens_details"]
    assert details["reasoning_tokens"] == answer.body["usage"]["completion_tokens"]
