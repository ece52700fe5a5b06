"""Values that a model writes outside of JSON, also those that nobody should write, become JSON."""

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bodhi_asgi.engine.families.table import GENERIC, ROWS
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.inference.literals import EVALUATED_CHARS, json_of_python, json_of_word
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


WORDS = st.text(st.characters(max_codepoint=0xFFFF, exclude_characters="\0"))
LITERALS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner) | st.dictionaries(WORDS, inner),
    max_leaves=20,
)


@given(LITERALS)
@example(["it's", 'say "hi"', "both ' and \"", "\\d+/\\/", "\x00\x07\x0b\x7f\t\n\r", "\\N{BULLET}", "True,]", "\ud800"])
def test_a_long_literal_is_read_like_a_short_one(value: object) -> None:
    written = repr([value, "x" * EVALUATED_CHARS])
    assert len(written) > EVALUATED_CHARS
    assert strict(json_of_python(written)) == [value, "x" * EVALUATED_CHARS]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        (
            r"""'it\'s \"\/\d \v\a \x41 ö \
.'""",
            "it's \"\\/\\d \v\a A ö .",
        ),
        ("[1, 2,]", [1, 2]),
        ("{'a': True, 'b': None, }", {"a": True, "b": None}),
        ("'a\tb'", "a\tb"),
        ("[true]", [True]),
        (r"'\ud800'", "\ud800"),
    ],
)
def test_what_python_and_json_write_differently_is_told_apart_in_a_long_literal(written: str, meant: object) -> None:
    found = strict(json_of_python(f"[{written}, '{'x' * EVALUATED_CHARS}']"))
    assert isinstance(found, list)
    assert found[0] == meant


@pytest.mark.parametrize(
    "written", ["{1, 2}", "(1, 2)", r"'\0'", r"'\U0001f600'", "0x10", "NaN", "1e999", "'a' 'b'", DEEP]
)
def test_a_long_literal_that_cannot_be_read_quickly_is_a_string(written: str) -> None:
    text = f"[{written}, '{'x' * EVALUATED_CHARS}']"
    assert strict(json_of_python(text)) == text


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
