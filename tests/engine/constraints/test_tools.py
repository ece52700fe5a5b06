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
from bodhi_asgi.engine.families.types import Family, GemmaCalls, ParamCalls
from bodhi_asgi.engine.families.writing import WrittenCall, write_calls
from bodhi_asgi.messages.conversation import ToolSpec, ToolUse
from bodhi_asgi.messages.generation import Constraint, ConstraintKind

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
APART = (ParamCalls, GemmaCalls)


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


BY_PARTS = ("qwen3-coder", "minimax-m2", "glm", "llama-pythonic", "gemma-4")


def tool(schema: Any) -> ToolSpec:
    return ToolSpec("note", parameters=json.dumps(schema))


def says(family: Family, schema: Any, arguments: dict[str, Any]) -> bool:
    grammar = answer_grammar(family, spell=plain, tools=(tool(schema),), use=ToolUse(required=True))
    matcher = GrammarCompiler(BYTES, BYTES.vocab_size).matcher(grammar)
    for byte in written(family, ("note", arguments)).encode():
        if not matcher.allows(byte):
            return False
        matcher.advance(byte)
    return matcher.is_complete or matcher.allows(BYTES.eos_token)


@pytest.mark.parametrize("name", BY_PARTS)
@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        ({"enum": ["north", "south"]}, "north", "east"),
        ({"const": 'a/b "c"'}, 'a/b "c"', "a"),
        ({"pattern": "^[a-z]{3}/\\d$"}, "abc/7", "abcd/7"),
        ({"pattern": "x\\$"}, "cost x$ now", "cost x"),
        ({"minLength": 2, "maxLength": 4}, "four", "f"),
        ({"minLength": 2, "maxLength": 9}, "two", "far too long"),
        ({"format": "date"}, "2026-11-26", "tomorrow"),
        ({"format": "date-time"}, "2026-11-26T14:00:00Z", "2026-11-26"),
        ({"format": "email"}, "ada@example.org", "ada"),
        ({"format": "uuid"}, "123e4567-e89b-12d3-a456-426614174000", "123e4567"),
        ({"format": "ipv4", "maxLength": 9}, "127.0.0.1", "192.168.100.200"),
    ],
)
def test_what_a_schema_says_of_a_text_holds_without_quotes_too(
    name: str, schema: dict[str, Any], good: str, bad: str
) -> None:
    family = next(row.family for row in ROWS if row.family.name == name)
    whole = {"type": "object", "properties": {"text": {"type": "string", **schema}}, "required": ["text"]}
    assert says(family, whole, {"text": good})
    assert not says(family, whole, {"text": bad})


@pytest.mark.parametrize("name", BY_PARTS)
def test_references_and_optional_arguments_hold_in_every_notation(name: str) -> None:
    family = next(row.family for row in ROWS if row.family.name == name)
    schema = {
        "$ref": "#/$defs/Note",
        "$defs": {
            "Note": {
                "type": "object",
                "properties": {
                    "a": {"$ref": "#/$defs/Size"},
                    "b": {"type": "integer"},
                    "c": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["b"],
            },
            "Size": {"enum": [1, 2]},
        },
    }
    for arguments in ({"a": 1, "b": 2, "c": [3]}, {"b": 2}, {"b": 2, "c": [3, 4]}, {"a": 2, "b": 2}):
        assert says(family, schema, arguments), arguments
    for arguments in ({"a": 3, "b": 2}, {"a": 1}, {"b": "x"}):
        assert not says(family, schema, arguments), arguments


@pytest.mark.parametrize("name", BY_PARTS)
@pytest.mark.parametrize(
    "schema",
    [
        {"anyOf": [{"type": "object"}]},
        {"properties": {}, "required": ["a"]},
        {"properties": {}, "minProperties": 1},
    ],
)
def test_what_holds_for_all_arguments_together_is_refused_where_they_stand_apart(name: str, schema: Any) -> None:
    family = next(row.family for row in ROWS if row.family.name == name)
    with pytest.raises(ConstraintInvalid) as refused:
        answer_grammar(family, spell=plain, tools=(tool(schema),))
    assert refused.value.param == "tools.0.function.parameters"


TEXTS: list[dict[str, Any]] = [
    {"enum": ["calm", "wild"]},
    {"type": ["string"], "enum": ["calm", "wild"]},
    {"anyOf": [{"const": "calm"}, {"type": "string", "pattern": "^wi+ld$"}]},
    {"oneOf": [{"enum": ["calm"]}, {"enum": ["wild"]}], "maxLength": 4},
    {"const": "calm"},
]


@pytest.mark.parametrize("schema", TEXTS, ids=json.dumps)
@pytest.mark.parametrize("name", ["0-gpt-oss", *(n for n, f in FAMILIES.items() if isinstance(f.tools.form, APART))])
def test_what_can_be_nothing_but_text_is_written_as_it_is_read_whether_or_not_its_schema_names_a_type(
    name: str, schema: dict[str, Any]
) -> None:
    family = FAMILIES[name]
    parameters = {"type": "object", "properties": {"mood": schema}, "required": ["mood"]}
    tools = (ToolSpec("paint", parameters=json.dumps(parameters)),)

    def is_allowed(text: str) -> bool:
        grammar = answer_grammar(family, spell=plain, tools=tools, use=ToolUse(required=True))
        matcher = GrammarCompiler(BYTES, BYTES.vocab_size).matcher(grammar)
        return all(matcher.allows(byte) and matcher.advance(byte) is None for byte in text.encode())

    assert is_allowed(written(family, ("paint", {"mood": "calm"})))
    assert not is_allowed(written(family, ("paint", {"mood": "tame"})))
    assert not is_allowed(written(family, ("paint", {"mood": '"calm"'})))


def test_space_before_a_call_has_an_end() -> None:
    family = FAMILIES["0-gpt-oss"]
    assert allows(family, " " * 16 + written(family, ("add", {"a": 1, "b": 2})), required=True)
    assert not allows(family, " " * 17 + written(family, ("add", {"a": 1, "b": 2})), required=True)


@pytest.mark.parametrize("family", [GENERIC, next(row.family for row in ROWS if row.family.name == "qwen3-coder")])
def test_all_tools_together_have_a_limit(family: Family) -> None:
    large = [tool({"type": "object", "description": "x" * 60_000}) for _ in range(5)]
    shared = {"$defs": {"a": {"description": "x" * 50_000}}}
    many = tool({**shared, "type": "object", "properties": {f"p{i}": {"$ref": "#/$defs/a"} for i in range(40)}})
    with pytest.raises(ConstraintInvalid, match="262144"):
        answer_grammar(family, spell=plain, tools=large)
    if family is not GENERIC:
        with pytest.raises(ConstraintInvalid, match="262144"):
            answer_grammar(family, spell=plain, tools=(many,))


def test_an_unknown_format_of_a_bare_text_is_refused() -> None:
    family = next(row.family for row in ROWS if row.family.name == "glm")
    with pytest.raises(ConstraintInvalid, match="colour"):
        answer_grammar(
            family,
            spell=plain,
            tools=(tool({"type": "object", "properties": {"a": {"type": "string", "format": "colour"}}}),),
        )
