"""A family's own way to call tools as a grammar: what it writes is allowed, what breaks a tool's schema is not."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from llguidance import LLTokenizer

from bodhi_asgi.engine.constraints.matcher import GrammarCompiler
from bodhi_asgi.engine.constraints.tools import answer_grammar
from bodhi_asgi.engine.errors import ConstraintInvalid
from bodhi_asgi.engine.families.syntaxes import THINK
from bodhi_asgi.engine.families.table import GENERIC, ROWS
from bodhi_asgi.engine.families.types import Family
from bodhi_asgi.engine.families.writing import WrittenCall, write_calls
from bodhi_asgi.messages import Constraint, ConstraintKind, ToolSpec, ToolUse

BYTES = LLTokenizer("byte")
FAMILIES = {f"{number}-{row.family.name}": row.family for number, row in enumerate(ROWS)} | {"generic": GENERIC}
WEATHER = ToolSpec(
    "get_weather",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1, "maximum": 9}},
            "required": ["city", "days"],
            "additionalProperties": False,
        }
    ),
)
ADD = ToolSpec(
    "add",
    parameters=json.dumps(
        {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}, "exact": {"type": "boolean"}},
            "required": ["a", "b"],
        }
    ),
)
TOOLS = (WEATHER, ADD)


def plain(text: str) -> list[str | int]:
    return [text] if text else []


def allows(family: Family, text: str, *, constraint: Constraint | None = None, opening: str = "", **use: Any) -> bool:
    grammar = answer_grammar(
        family, spell=plain, opening=opening, tools=TOOLS, use=ToolUse(**use), constraint=constraint
    )
    matcher = GrammarCompiler(BYTES, BYTES.vocab_size).matcher(grammar)
    for byte in text.encode():
        if not matcher.allows(byte):
            return False
        matcher.advance(byte)
    return matcher.is_complete or matcher.allows(BYTES.eos_token)


def written(family: Family, *calls: tuple[str, dict[str, Any]]) -> str:
    return write_calls(family.tools, [WrittenCall("abcdef123", name, arguments) for name, arguments in calls])


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_calls_as_the_family_writes_them_are_allowed_and_only_those(family: Family) -> None:
    good = written(family, ("get_weather", {"city": "New York", "days": 3}))
    assert allows(family, good, required=True), good
    assert allows(family, good), good
    assert allows(family, good, names=("get_weather",), required=True)
    assert not allows(family, good, names=("add",), required=True)
    assert not allows(family, "I do not know.", required=True)
    for bad in ({"city": "Rome", "days": 99}, {"city": "Rome", "days": "many"}, {"days": 3}):
        assert not allows(family, written(family, ("get_weather", bad)), required=True), bad
    assert not allows(family, written(family, ("get_wether", {"city": "Rome", "days": 3})), required=True)
    assert allows(family, written(family, ("add", {"a": 1, "b": 2.5})), required=True)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_text_is_free_until_it_opens_a_call(family: Family) -> None:
    assert allows(family, "It is sunny <b>today</b>.\nReally.")
    call = written(family, ("get_weather", {"city": "Rome", "days": 99}))
    assert not allows(family, call), call


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_several_calls_are_as_the_request_says(family: Family) -> None:
    two = written(family, ("add", {"a": 1, "b": 2}), ("get_weather", {"city": "Rome", "days": 2}))
    assert allows(family, two, required=True) is not family.one_call, two
    assert not allows(family, two, required=True, parallel=False)


def test_thoughts_stand_before_forced_calls_and_forms() -> None:
    hermes = next(row.family for row in ROWS if row.family.name == "hermes")
    family = replace(hermes, thinking=THINK)
    call = written(family, ("add", {"a": 1, "b": 2}))
    assert allows(family, "<think>\nI may call\n</think>\n\n" + call, required=True)
    assert allows(family, "hm\n</think>\n" + call, required=True, opening="<think>\n")
    assert not allows(family, call, required=True, opening="<think>\n")
    digits = Constraint(ConstraintKind.REGEX, "[0-9]{3}")
    assert allows(family, "<think>one <tool_call> two</think>\n123", constraint=digits)
    assert not allows(family, "<think>one two</think>\nabc", constraint=digits)
    assert not allows(family, "<think>one two", constraint=digits)


def test_a_tool_whose_schema_cannot_be_enforced_is_refused_by_its_place() -> None:
    tools = (ADD, ToolSpec("bad", parameters='{"type": "object", "not": {}}'))
    with pytest.raises(ConstraintInvalid, match="'not'") as refused:
        answer_grammar(GENERIC, spell=plain, tools=tools)
    assert refused.value.param == "tools.1.function.parameters"


def test_a_control_token_of_the_vocabulary_stands_for_its_marker() -> None:
    def spell(text: str) -> list[str | int]:
        parts = re.split("(</?tool_call>)", text)
        known = {"<tool_call>": 256, "</tool_call>": 257}
        return [known.get(part, part) for part in parts if part]

    matcher = GrammarCompiler(BYTES, BYTES.vocab_size).matcher(
        answer_grammar(GENERIC, spell=spell, tools=TOOLS, use=ToolUse(required=True))
    )
    assert not matcher.allows(ord("<"))
    tokens = [256, *b'\n{"name": "add", "arguments": {"a": 1, "b": 2}}\n', 257]
    for token in tokens:
        assert matcher.allows(token), token
        matcher.advance(token)
