"""Each family's notation at every door: a model that is held to it calls its tools, whole and streamed.

The model is always the demo model; what makes it one of a family is a word in its template, by which families are
known. What it is held to write is the family's own notation, and what comes out of the door is the same for all.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.families.table import recognise
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door
from tests.behaviour.test_conversations import gathered
from tests.engine.gguf_files import rewrite

SIGNS = {
    "deepseek-v3.1": "<\uff5ctool\u2581calls\u2581begin\uff5c>",
    "glm": "<arg_key>",
    "gpt-oss": "<|channel|> <|message|> functions.",
    "kimi-k2": "<|tool_calls_section_begin|>",
    "llama-json": '"parameters" ipython',
    "llama-pythonic": "[func_name1(",
    "mistral-v11": "[TOOL_CALLS] [ARGS]",
    "qwen3-coder": "<tool_call> <function= <parameter=",
}
PAINT = {
    "type": "function",
    "function": {
        "name": "paint",
        "parameters": {
            "type": "object",
            "properties": {"mood": {"enum": ["calm", "wild"]}, "size": {"type": "integer", "minimum": 3, "maximum": 5}},
            "required": ["mood", "size"],
            "additionalProperties": False,
        },
    },
}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("families")

    def of(family: str) -> Path:
        def signed(template: str) -> str:
            template = f"{{# {SIGNS[family]} #}}" + template.replace("tool_call>", "call>")
            assert recognise(template).name == family
            return template

        return rewrite(DEMO_MODEL_PATH, folder / f"{family}.gguf", keys={"tokenizer.chat_template": signed})

    return {family: str(of(family)) for family in SIGNS}


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, models: dict[str, str]) -> dict[str, Any]:
    if request.param == "process":  # where a model takes a process, every fourth will do
        models = dict(list(models.items())[::4])
    engine = {"isolation": request.param, "threads": 1, "n_ctx": 512, "slots": 2, "linger_s": 0}
    return {"data_dir": tmp_path / "data", "demo": False, "models": models, "engine": engine}


async def test_a_tool_is_called_in_the_familys_notation_and_its_result_is_told_in_the_next_turn(
    door: Door, settings: dict[str, Any]
) -> None:
    token = await token_for(door, *settings["models"])
    for family in settings["models"]:
        question: dict[str, Any] = {"role": "user", "content": "Hello!"}
        body = {"model": family, "messages": [question], "tools": [PAINT], "tool_choice": "required",
                "parallel_tool_calls": False, "temperature": 0, "max_tokens": 320}  # fmt: skip
        whole = await door.chat(body, token)
        assert whole.status == 200, (family, whole.body)
        (choice,) = whole.body["choices"]
        assert choice["finish_reason"] == "tool_calls", (family, choice)
        streamed = gathered(await door.stream(body, token))
        for message in (choice["message"], streamed):
            (call,) = message["tool_calls"]
            arguments = json.loads(call["function"]["arguments"])
            assert call["function"]["name"] == "paint"
            assert (arguments["mood"] in ("calm", "wild"), arguments["size"] in (3, 4, 5)) == (True, True), family
            assert not message["content"], family
        result = {"role": "tool", "tool_call_id": streamed["tool_calls"][0]["id"], "content": "done"}
        told = await door.chat({**body, "messages": [question, streamed, result], "tool_choice": "auto"}, token)
        assert told.status == 200, (family, told.body)
