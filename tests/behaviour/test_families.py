"""Each family's notation at every door: a model that is held to it calls its tools, whole and streamed.

The model is always the demo model; what makes it one of a family is a word in its template, by which families are
known. What it is held to write is the family's own notation, and what comes out of the door is the same for all.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.families.table import ROWS, Row, recognise
from tests.behaviour.conftest import token_for
from tests.behaviour.doors import DOORS, Door
from tests.behaviour.test_conversations import gathered
from tests.engine.gguf_files import rewrite

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
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("families")


def model_of(number: int, row: Row, folder: Path) -> Path:
    """The demo model as one of a family. It is made once."""
    path = folder / f"{number}.gguf"

    def signed(template: str) -> str:
        template = f"{{# {' '.join(row.signs)} #}}" + template.replace("tool_call>", "call>")
        assert recognise(template).name == row.family.name
        return template

    return path if path.exists() else rewrite(DEMO_MODEL_PATH, path, keys={"tokenizer.chat_template": signed})


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path, folder: Path) -> dict[str, Any]:
    """Every family has its turn at one of the doors in a thread; where a model takes a process, two at each door."""
    turn = DOORS.index(request.node.callspec.params["door"])
    rows = [(number, ROWS[number]) for number in range(turn, len(ROWS), len(DOORS))]
    if request.param == "process":
        rows = rows[turn % 4 :: 4][:2]
    models = {f"{row.family.name}-{number}": str(model_of(number, row, folder)) for number, row in rows}
    engine = {"isolation": request.param, "threads": 1, "n_ctx": 1024, "slots": 2, "linger_s": 0}
    return {"data_dir": tmp_path / "data", "demo": False, "models": models, "engine": engine}


def thinks(family: str) -> bool:
    return recognise(" ".join(ROWS[int(family.rpartition("-")[2])].signs)).thinking is not None


async def test_a_tool_is_called_in_the_familys_notation_and_its_result_is_told_in_the_next_turn(
    door: Door, settings: dict[str, Any]
) -> None:
    token = await token_for(door, *settings["models"])
    for family in settings["models"]:
        question: dict[str, Any] = {"role": "user", "content": "Hello!"}
        body = {"model": family, "messages": [question], "tools": [PAINT], "tool_choice": "required",
                "parallel_tool_calls": False, "temperature": 0, "max_tokens": 640}  # fmt: skip
        if thinks(family):
            body["thinking_budget_tokens"] = 4
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
        told = await door.chat(
            {**body, "messages": [question, streamed, result], "tool_choice": "auto", "max_tokens": 8}, token
        )
        assert told.status == 200, (family, told.body)
