"""Values that a model writes outside of JSON, also those that nobody should write, become JSON."""

import json

import pytest

from bodhi_asgi.engine.families.table import GENERIC, ROWS
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.inference.literals import json_of_python, json_of_word
from bodhi_asgi.inference.speech import SpeechReader
from bodhi_asgi.messages.answers import Delta, FinishReason

DEEP = "[" * 5_000
FAMILIES = {f"{row.family.name}-{number}": row.family for number, row in enumerate(ROWS)} | {"generic": GENERIC}
SCHEMAS = {"add": {"type": "object", "properties": {"a": {"type": "integer"}}}}
STRANGE = (
    "<tool_call>{" + DEEP + "]" * 5_000 + ":1}",
    '<tool_call>{"name":' + DEEP + "]" * 5_000 + "}",
    '<tool_call>{"name":"add","arguments":' + DEEP,
    "{" * 5_000,
    "[add(a=" + DEEP,
    "[add(a=" + "-" * 5_000 + "1)]",
    "[add(a='\\ud800')]",
)


def strict(text: str) -> object:
    def refuse(word: str) -> None:
        raise ValueError(word)

    text.encode()
    return json.loads(text, parse_constant=refuse)


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("'Paris'", "Paris"),
        ("True", True),
        ("None", None),
        ("{'a': (1, 2.5)}", {"a": [1, 2.5]}),
        ("true", True),
        ("Paris", "Paris"),
        ("[NaN]", "[NaN]"),
        ("1e999", "1e999"),
        ("'\\ud800'", "\ud800"),
        ('"ä"', "ä"),
        ("{1, 2}", "{1, 2}"),
        (DEEP, DEEP),
        ("-" * 5_000, "-" * 5_000),
    ],
)
def test_a_python_literal_is_json_and_anything_else_a_string(written: str, meant: object) -> None:
    assert strict(json_of_python(written)) == meant


@pytest.mark.parametrize(
    ("written", "kinds", "meant"),
    [
        ("5", {"integer"}, 5),
        ("5", {"string"}, "5"),
        ("5", set(), 5),
        ("[NaN]", set(), "[NaN]"),
        ("-Infinity", {"number"}, "-Infinity"),
        ("[1e999]", {"array"}, "[1e999]"),
        ("True", {"boolean"}, True),
        ("True", {"string", "null"}, "True"),
        (DEEP, set(), DEEP),
    ],
)
def test_a_bare_word_is_what_its_schema_says(written: str, kinds: set[str], meant: object) -> None:
    assert strict(json_of_word(written, kinds)) == meant


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_no_answer_is_too_strange_to_read(family: Family) -> None:
    form = family.tools.form
    openings = ("", family.tools.open, getattr(form, "open", ""))
    for text in (opening + strange for opening in openings for strange in STRANGE):
        read = SpeechReader(family, SCHEMAS).read(Delta(text=text, finish=FinishReason.STOP))
        for piece in (read.text, read.reasoning, *(call.arguments for call in read.tool_calls)):
            piece.encode()
