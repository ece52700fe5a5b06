"""Reading answers as they come: calls of every family, thoughts, and everything that only looks like one of them."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.families import syntaxes
from bodhi_asgi.engine.families.kinds import types_of
from bodhi_asgi.engine.families.table import GENERIC, ROWS
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.families.writing import WrittenCall, write_calls
from bodhi_asgi.inference.literals import json_of_python, json_of_word
from bodhi_asgi.messages.answers import FinishReason
from tests.engine.families.conversations import assert_same_wherever_split, hear

THINKER = replace(GENERIC, thinking=syntaxes.THINK)
FAMILIES = {f"{number}-{row.family.name}": row.family for number, row in enumerate(ROWS)} | {"generic": GENERIC}
NOTE: dict[str, Any] = {
    "text": 'He said "</tool>", \\ and\nleft: {é}',
    "tags": ["a", "b, c"],
    "more": {"deep": [1, {"x": None}]},
    "done": True,
}


def family_of(name: str) -> Family:
    return next(row.family for row in ROWS if row.family.name == name)


@pytest.mark.parametrize("name", FAMILIES)
def test_calls_of_every_family_are_read_wherever_their_text_is_split(name: str) -> None:
    family = FAMILIES[name]
    calls = [WrittenCall("abcdefghi", "get_weather", {"city": "Paris", "days": 3}), WrittenCall("b", "note", NOTE)]
    calls = calls[:1] if family.one_call else calls
    heard = assert_same_wherever_split(family, write_calls(family.tools, calls))
    assert heard.calls == [(call.name, dict(call.arguments)) for call in calls]
    assert heard.text == ""
    assert heard.finish is FinishReason.TOOL_CALLS
    assert len(set(heard.ids)) == len(calls)


@pytest.mark.parametrize("name", FAMILIES)
def test_text_before_a_call_is_said_and_space_between_is_not(name: str) -> None:
    family = FAMILIES[name]
    if family.tools.is_bare:
        return  # there such calls are only where the answer begins
    call = write_calls(family.tools, [WrittenCall("abcdefghi", "get_weather", {"city": "Rome"})])
    heard = hear(family, *f"Let me look.\n\n{call}\n")
    assert (heard.text, heard.calls) == ("Let me look.", [("get_weather", {"city": "Rome"})])


@pytest.mark.parametrize("name", FAMILIES)
def test_an_unknown_tool_is_not_called(name: str) -> None:
    family = FAMILIES[name]
    text = write_calls(family.tools, [WrittenCall("abcdefghi", "launch", {"city": "Rome"})])
    heard = assert_same_wherever_split(family, text)
    assert heard.calls == []
    assert "launch" in heard.text
    assert heard.finish is FinishReason.STOP


@pytest.mark.parametrize(
    "text",
    [
        "<tool_call>",
        "<tool_call> is a marker",
        "<tool_call>{}</tool_call>",
        "<tool_call>[1, 2]</tool_call>",
        '<tool_call>{"name": "add"',
        '<tool_call>{"name": 3, "arguments": {}}</tool_call>',
        '<tool_call>{"name": "add", "arguments": [1]}</tool_call>',
        '<tool_call>{"name": "add", "arguments": "no"}</tool_call>',
        '<tool_call>{"arguments": {}}</tool_call>',
        "<tool_call>{name: add}</tool_call>",
        "a < b <tool <tool_cal",
        " \n leading and trailing \n ",
        "",
    ],
)
def test_what_is_no_call_is_said_as_it_stands(text: str) -> None:
    heard = assert_same_wherever_split(GENERIC, text)
    assert (heard.text, heard.calls) == (text, [])


@given(st.lists(st.sampled_from(["<tool_call>", "</tool_call>", "{", "}", '"name"', ":", '"x"', " ", "\n", "a", "<"])))
def test_no_character_of_an_answer_without_calls_is_lost(pieces: list[str]) -> None:
    text = "".join(pieces)
    heard = hear(GENERIC, *pieces)
    assert heard.text == text
    assert heard == hear(GENERIC, text)


@given(st.text(max_size=40), st.text(alphabet="ab<>/think \n", max_size=40))
def test_thoughts_and_answer_are_told_apart_whatever_they_say(thought: str, said: str) -> None:
    whole = hear(THINKER, f"<think>\n{thought}\n</think>\n\n{said}")
    assert whole == hear(THINKER, *f"<think>\n{thought}\n</think>\n\n{said}")
    if "</think" not in thought + said and "<think" not in said:
        assert whole.reasoning == thought.strip(" \t\r\n")
        assert whole.text.rstrip() == said.strip(" \t\r\n").rstrip()


def test_a_call_may_give_its_arguments_first_as_text_or_not_at_all() -> None:
    forms = ['{"arguments": {"a": 1}, "name": "add"}', '{"name": "add", "arguments": "{\\"a\\": 1}"}']
    for form in forms:
        heard = assert_same_wherever_split(GENERIC, f"<tool_call>{form}</tool_call>")
        assert heard.calls == [("add", {"a": 1})]
    assert hear(GENERIC, '<tool_call>{"name": "add"}').calls == [("add", {})]
    assert hear(GENERIC, '<tool_call>{"id": 7, "name": "add", "arguments": {}}').calls == [("add", {})]


def test_arguments_that_are_cut_off_are_passed_on_as_far_as_they_came() -> None:
    heard = hear(GENERIC, '<tool_call>{"name": "add", "arguments": {"a": 1', finish=FinishReason.LENGTH)
    assert heard.raw == [("add", '{"a": 1')]
    assert heard.finish is FinishReason.LENGTH
    cut = "<tool_call>\n<function=note>\n<parameter=text>\nhalf a"
    heard = assert_same_wherever_split(family_of("qwen3-coder"), cut, finish=FinishReason.LENGTH)
    assert heard.raw == [("note", '{"text": "half a')]


def test_without_tools_nothing_is_a_call() -> None:
    text = '<tool_call>{"name": "add", "arguments": {}}</tool_call>'
    heard = hear(THINKER, *text, schemas={})
    assert (heard.text, heard.calls) == (text, [])


def test_thoughts_that_the_prompt_opens_begin_at_once_and_may_have_no_end() -> None:
    assert hear(THINKER, "so</think>yes", opening="<think>\n").reasoning == "so"
    assert hear(THINKER, "so</think>yes", opening="<think>\n").text == "yes"
    heard = hear(THINKER, "on and on \n", opening="<think>\n", finish=FinishReason.LENGTH)
    assert (heard.reasoning, heard.text) == ("on and on \n", "")


def test_a_marker_of_thoughts_in_the_middle_of_an_answer_is_a_part_of_it() -> None:
    text = "It writes <think> and </think>."
    assert assert_same_wherever_split(THINKER, text).text == text


def test_harmony_has_thoughts_a_call_and_a_last_word() -> None:
    family = replace(family_of("gpt-oss"), thinking=syntaxes.HARMONY_THINK)
    thought = "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant"
    calls = [
        '<|channel|>commentary to=functions.add <|constrain|>json<|message|>{"a": 1}<|call|>',
        ' to=functions.add<|channel|>commentary json<|message|>{"a": 1}',
    ]
    for call in calls:
        heard = assert_same_wherever_split(family, thought + call)
        assert (heard.reasoning, heard.text, heard.calls) == ("Hm.", "", [("add", {"a": 1})])
    heard = assert_same_wherever_split(family, thought + "<|channel|>final<|message|>Hello <b>")
    assert (heard.reasoning, heard.text) == ("Hm.", "Hello <b>")


def test_functionary_speaks_to_all_or_to_a_tool() -> None:
    family = family_of("functionary-v3.2")
    heard = assert_same_wherever_split(family, 'all\nHello>>>add\n{"a": 1}', opening=">>>")
    assert (heard.text, heard.calls) == ("Hello", [("add", {"a": 1})])
    assert hear(family, "all\nHello", opening=">>>").text == "Hello"


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("'a'", "a"),
        ('"a\\n"', "a\n"),
        ("None", None),
        ("[True, 1.5, {'k': ()}]", [True, 1.5, {"k": []}]),
        ("[true, null]", [True, None]),
        ("Paris", "Paris"),
        ("{1, 2}", [1, 2]),
        ("1e999", "1e999"),
    ],
)
def test_a_python_literal_becomes_json(literal: str, value: Any) -> None:
    assert json.loads(json_of_python(literal)) == value


@pytest.mark.parametrize(
    ("word", "kinds", "value"),
    [
        ("5", {"integer"}, 5),
        ("5", {"string"}, "5"),
        ("5", set(), 5),
        ("five", {"integer"}, "five"),
        ("True", {"boolean"}, True),
        ("True", {"string", "boolean"}, "True"),
        ("null", {"string", "null"}, None),
        ("[1]", {"array"}, [1]),
        ("NaN", {"number"}, "NaN"),
        (" 5 ", {"number"}, 5),
    ],
)
def test_a_bare_word_is_what_its_schema_says(word: str, kinds: set[str], value: Any) -> None:
    assert json.loads(json_of_word(word, kinds)) == value


def test_the_types_of_a_schema_are_found_where_it_says_them() -> None:
    assert types_of({"type": "string"}) == {"string"}
    assert types_of({"type": ["string", "null"]}) == {"string", "null"}
    assert types_of({"enum": ["a", 1]}) == {"string", "integer", "number"}
    assert types_of({"const": None}) == {"null"}
    assert types_of({"anyOf": [{"type": "string"}, {"type": "array"}]}) == {"string", "array"}
    assert types_of({}) == types_of(True) == types_of({"enum": "x"}) == frozenset()
