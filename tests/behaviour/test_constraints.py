"""Answers of a given form, at every door: asked for in OpenAI's words, vLLM's or llama.cpp's, whole and streamed."""

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.behaviour.conftest import token_for
from tests.behaviour.doors import Door

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string", "maxLength": 8}, "age": {"type": "integer", "minimum": 3, "maximum": 99}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def json_schema(schema: Any, **more: Any) -> dict[str, Any]:
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema, **more}}


KEPT: list[tuple[dict[str, Any], str]] = [
    ({"guided_json": PERSON}, r'\{\s*"name".*\}'),
    ({"guided_json": json.dumps(PERSON)}, r'\{\s*"name".*\}'),
    ({"guided_regex": "[0-9]{3}-[a-f]{2}"}, "[0-9]{3}-[a-f]{2}"),
    ({"guided_choice": ["north", "south"]}, "north|south"),
    ({"guided_grammar": 'start: "x" A\nA: /[ab]{3}/'}, "x[ab]{3}"),
    ({"grammar": 'root ::= "x" a a\na ::= [ab]'}, "x[ab]{2}"),
    ({"response_format": {"type": "text"}}, ".+"),
    ({"response_format": {"type": "text"}, "guided_choice": ["a", "b"]}, "a|b"),
    ({"response_format": None, "guided_regex": None}, ".+"),
]

REFUSED: list[tuple[dict[str, Any], str, str]] = [
    ({"response_format": json_schema({"not": {}})}, "response_format.json_schema.schema", "'not'"),
    ({"response_format": json_schema({"minLength": 10**9})}, "response_format.json_schema.schema", "2000"),
    ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "required"),
    (
        {"response_format": {"type": "json_object", "json_schema": {"name": "a", "schema": {}}}},
        "response_format.json_schema",
        "goes with",
    ),
    ({"response_format": {"type": "xml"}}, "response_format.type", "json_schema"),
    ({"response_format": json_schema(None)}, "response_format.json_schema.schema", "dict"),
    (
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {}}}},
        "response_format.json_schema.name",
        "required",
    ),
    ({"response_format": {"type": "json_object", "schema": {}}}, "response_format.schema", "not a parameter"),
    ({"guided_json": "{"}, "guided_json", "not a JSON schema"),
    ({"guided_regex": "(?=a)"}, "guided_regex", "look-around"),
    ({"guided_regex": ""}, "guided_regex", "empty"),
    ({"guided_choice": []}, "guided_choice", "none is empty"),
    ({"guided_grammar": "start: <|im_end|>"}, "guided_grammar", "token"),
    ({"grammar": "root ::= ("}, "grammar", "GBNF"),
    ({"grammar": 'root ::= "a"', "guided_choice": ["a"]}, "grammar", "give one of them"),
    ({"guided_grammar": 'start: "x" a\na: "y" a'}, "guided_grammar", "cannot be completed"),
]


def ask(**extra: Any) -> dict[str, Any]:
    # Drawn alike every time, and with room for the white space that a form allows and a hot answer may be full of.
    question = [{"role": "user", "content": "Who are you?"}]
    return {"model": "demo", "messages": question, "max_tokens": 300, "seed": 7, **extra}


@pytest.fixture(params=["thread", "process"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, Any]:
    engine = {"isolation": request.param, "n_ctx": 512, "slots": 4, "threads": 1}
    return {"data_dir": tmp_path / "data", "engine": engine}


@pytest.fixture
async def token(door: Door) -> str:
    return await token_for(door, "demo")


async def test_a_schema_holds_whole_and_streamed_for_every_answer_of_several(door: Door, token: str) -> None:
    for strict in (True, False, None):
        answer = await door.chat(ask(response_format=json_schema(PERSON, strict=strict), temperature=2, n=2), token)
        assert answer.status == 200, answer.body
        for choice in answer.body["choices"]:
            jsonschema.validate(json.loads(choice["message"]["content"]), PERSON)
            assert choice["finish_reason"] == "stop"

    chunks = await door.stream(ask(response_format=json_schema(PERSON)), token)
    choices = [chunk["choices"][0] for chunk in chunks]
    jsonschema.validate(json.loads("".join(choice["delta"].get("content") or "" for choice in choices)), PERSON)
    assert choices[-1]["finish_reason"] == "stop"
    assert len(choices) > 5


async def test_every_way_to_ask_for_a_form_is_kept_to(door: Door, token: str) -> None:
    for asked, pattern in KEPT:
        answer = await door.chat(ask(**asked), token)
        assert answer.status == 200, answer.body
        assert re.fullmatch(pattern, answer.text, re.DOTALL), (asked, answer.text)
    for asked, pattern in KEPT[2:6]:
        # Each of several, streamed, hot, with a stop string that the form has no room for.
        chunks = await door.stream(ask(**asked, n=2, stop=["!?"], temperature=1.5), token)
        choices = [choice for chunk in chunks for choice in chunk["choices"]]
        for index in range(2):
            mine = [choice for choice in choices if choice["index"] == index]
            said = "".join(choice["delta"].get("content") or "" for choice in mine)
            assert re.fullmatch(pattern, said), (asked, said)
            assert mine[-1]["finish_reason"] == "stop"
    cut = await door.chat(ask(guided_regex="[0-9]{3}-[a-f]{2}", stop=["-"], n=2), token)
    for choice in cut.body["choices"]:
        assert re.fullmatch("[0-9]{3}", choice["message"]["content"])


async def test_forms_hold_for_answers_that_had_to_give_way_and_go_on(door: Door, token: str) -> None:
    numbers = {"type": "array", "items": {"enum": [1, 2, 3]}, "minItems": 60, "maxItems": 60}
    texts = ("Who are you?", "Hello!", "What is bodhi_asgi?", "Count to five.")
    bodies = [
        ask(messages=[{"role": "user", "content": text}], guided_json=numbers, temperature=0, max_tokens=400)
        for text in texts
    ]
    answers = await asyncio.gather(*(door.chat(body, token) for body in bodies))
    for answer in answers:
        assert answer.status == 200, answer.body
        jsonschema.validate(json.loads(answer.text), numbers)
    # More than the context has cells: they were not all there at once.
    assert sum(answer.body["usage"]["total_tokens"] for answer in answers) > 512


async def test_json_that_is_cut_by_its_length_says_so(door: Door, token: str) -> None:
    answer = await door.chat(ask(response_format={"type": "json_object"}, max_tokens=3), token)
    assert answer.body["choices"][0]["finish_reason"] == "length"
    assert answer.text.startswith("{")


async def test_what_cannot_be_enforced_is_a_400_that_names_the_field(door: Door, token: str) -> None:
    for asked, param, words in REFUSED:
        answer = await door.chat(ask(**asked), token)
        assert (answer.status, answer.error["param"]) == (400, param), answer.body
        assert words in answer.error["message"]
    assert (await door.chat(ask(), token)).status == 200
