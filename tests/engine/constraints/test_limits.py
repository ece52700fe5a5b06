"""Every limit refuses by name before anything can take long, and what is within the limits is compiled in time."""

import json
import random
import time
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llguidance import LLTokenizer

from bodhi_asgi.engine.constraints.matcher import MAX_CACHED, GrammarCompiler, Matcher
from bodhi_asgi.engine.constraints.translate import grammar_of
from bodhi_asgi.engine.errors import ConstraintFailed, ConstraintInvalid
from bodhi_asgi.engine.manners import COMPILE_S
from bodhi_asgi.messages.generation import Constraint, ConstraintKind
from tests.engine.constraints.hostile import HARD, REFUSED, UNSUPPORTED_KEYWORDS, lark, regex, schema

BYTES = LLTokenizer("byte")


@pytest.fixture
def compiler() -> GrammarCompiler:
    return GrammarCompiler(BYTES, BYTES.vocab_size)


def spells(matcher: Matcher, text: str) -> bool:
    """Whether the text, byte for byte, is an answer."""
    for byte in text.encode():
        if not matcher.allows(byte):
            return False
        matcher.advance(byte)
    return matcher.is_complete or matcher.allows(BYTES.eos_token)


@pytest.mark.parametrize(("constraint", "words"), REFUSED.values(), ids=REFUSED)
def test_what_goes_too_far_is_refused_with_its_field_and_the_reason(
    compiler: GrammarCompiler, constraint: Constraint, words: str
) -> None:
    with pytest.raises(ConstraintInvalid, match=words) as refused:
        compiler.matcher(grammar_of(constraint))
    assert refused.value.param == constraint.param
    assert len(refused.value.message) < 700


@pytest.mark.parametrize("keyword", UNSUPPORTED_KEYWORDS)
def test_a_keyword_that_is_not_enforced_is_refused_by_its_name_and_place(keyword: str) -> None:
    inner = {"type": "object", "properties": {"a": {"anyOf": [{"type": "string"}, {keyword: {}}]}}}
    with pytest.raises(ConstraintInvalid) as refused:
        grammar_of(schema(inner))
    assert f"'{keyword}'" in refused.value.message
    assert "properties.a.anyOf.1" in refused.value.message


@pytest.mark.parametrize("constraint", HARD.values(), ids=HARD)
def test_what_is_within_the_limits_is_compiled_in_time_and_followed(
    compiler: GrammarCompiler, constraint: Constraint
) -> None:
    began = time.process_time()
    matcher = compiler.matcher(grammar_of(constraint))
    assert time.process_time() - began < COMPILE_S
    chance = random.Random(1)
    for _ in range(60):
        try:
            token = int(chance.choice(matcher.allowed().tolist()))
            if token == BYTES.eos_token:
                return
            matcher.advance(token)
        except ConstraintFailed:
            return
        if matcher.is_complete:
            return


def test_annotations_and_extensions_are_let_through() -> None:
    told = {"title": "T", "description": "D", "default": 1, "examples": [2], "deprecated": True, "x-anything": {"a": 1}}
    assert grammar_of(schema({"type": "integer", "uniqueItems": False, **told}))


def test_json_has_at_most_one_line_of_white_space_at_a_time(compiler: GrammarCompiler) -> None:
    grammar = grammar_of(Constraint(ConstraintKind.JSON_OBJECT))
    for good in ('{"a":1}', '{"a": [1, 2]}', '{\n  "a": {\n    "b": null\n  }\n}', '{\r\n\t"a": ""\r\n}'):
        assert spells(compiler.matcher(grammar), good), good
    for bad in ('{"a":  1}', '{\n\n"a":1}', "[1]", ' {"a":1}', '{"a":1}\n'):
        assert not spells(compiler.matcher(grammar), bad), bad


def test_a_preamble_stands_before_the_answer(compiler: GrammarCompiler) -> None:
    grammar = grammar_of(regex("[0-9]+"), "preamble[lazy]: /(.|\\n)*<.think>/")
    assert spells(compiler.matcher(grammar), "let me see:\n 4 < 5</think>42")
    assert not spells(compiler.matcher(grammar), "42")
    assert not spells(compiler.matcher(grammar), "hm</think>x")


def test_half_an_answer_is_never_complete(compiler: GrammarCompiler) -> None:
    matcher = compiler.matcher(grammar_of(lark('start: "x" a\na: "y" a')))
    with pytest.raises(ConstraintFailed):
        for byte in b"xyyyy":
            matcher.allowed()
            matcher.advance(byte)
    assert not matcher.is_complete
    assert not matcher.allows(BYTES.eos_token)


def test_compiled_grammars_are_kept_and_the_oldest_forgotten(compiler: GrammarCompiler) -> None:
    for number in range(MAX_CACHED + 6):
        compiler.matcher(grammar_of(regex(f"a{{{number + 1}}}")))
        compiler.matcher(grammar_of(regex("b")))
    assert len(compiler) == MAX_CACHED
    first, second = (compiler.matcher(grammar_of(regex("b"))) for _ in range(2))
    first.advance(ord("b"))
    assert first.is_complete
    assert second.allows(ord("b"))


def test_the_cache_is_bounded_in_bytes(compiler: GrammarCompiler) -> None:
    for number in range(40):
        compiler.matcher(grammar_of(schema({"enum": [f"{number}-{'x' * 50_000}"]})))
    assert 10 < len(compiler) < 25


@settings(deadline=None, max_examples=60)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), min_size=1, max_size=6))
def test_every_choice_can_be_said_and_nothing_else(choices: list[str]) -> None:
    compiler = GrammarCompiler(BYTES, BYTES.vocab_size)
    grammar = grammar_of(Constraint(ConstraintKind.CHOICE, json.dumps(choices)))
    for choice in choices:
        assert spells(compiler.matcher(grammar), choice)
        assert spells(compiler.matcher(grammar), choice + "?") == (choice + "?" in choices)


@settings(deadline=None, max_examples=300)
@given(
    st.sampled_from(list(ConstraintKind)), st.text(max_size=200) | st.from_regex(r'[a-z: "/\[\]{}()|<>%@#~.\n0-9,]*')
)
def test_no_text_of_a_client_is_answered_with_anything_but_a_matcher_or_a_refusal(
    kind: ConstraintKind, source: str
) -> None:
    compiler = GrammarCompiler(BYTES, BYTES.vocab_size)
    with suppress(ConstraintInvalid):
        compiler.matcher(grammar_of(Constraint(kind, source)))
