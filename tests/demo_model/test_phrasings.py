"""What the evaluation asks is never trained on, and is made of words that are."""

import json
from itertools import chain, islice
from typing import Any

import pytest

from demo_model import questions
from demo_model.conversation import segments
from demo_model.generate import TASKS, conversations, instances
from demo_model.grammar import FAMILIAR, Patterns, bare, core, expand, sides
from demo_model.handwritten import HAND_WRITTEN
from demo_model.library import LIBRARY
from demo_model.small_talk import SMALL_TALK
from demo_model.trivia import TRIVIA

FIXED: list[Patterns] = [patterns for patterns, _ in (*SMALL_TALK, *LIBRARY, *TRIVIA)]
WITH_PLACES: list[Patterns] = [value for name, value in vars(questions).items() if isinstance(value, tuple)]
ALL = FIXED + WITH_PLACES


def words_of(groups: tuple[tuple[str, ...], ...]) -> set[str]:
    return {word for sentence in chain(*groups) for word in bare(sentence).split()}


def test_a_pattern_stands_for_all_its_sentences() -> None:
    assert expand("(what is|tell me) the (big |)sum ( of {a}|)?") == (
        "what is the big sum of {a}?",
        "what is the big sum?",
        "what is the sum of {a}?",
        "what is the sum?",
        "tell me the big sum of {a}?",
        "tell me the big sum?",
        "tell me the sum of {a}?",
        "tell me the sum?",
    )


def test_no_phrasing_is_both_trained_on_and_held_out() -> None:
    trained = {bare(sentence) for patterns in ALL for sentence in chain(*sides(patterns)[0])}
    held = {bare(sentence) for patterns in ALL for sentence in chain(*sides(patterns)[1])}
    assert len(held) > 2000
    assert not trained & held


def test_no_held_out_phrasing_is_a_trained_one_with_an_opening_or_an_ending() -> None:
    for patterns in ALL:
        trained, held = sides(patterns)
        assert not {core(sentence) for sentence in chain(*trained)} & {core(sentence) for sentence in chain(*held)}
    assert core("hello, please: tell me a joke please") == core("tell me a joke thanks") == "tell me a joke"


def test_every_word_of_a_held_out_phrasing_is_trained_on_with_the_same_answer() -> None:
    for patterns in ALL:
        trained, held = sides(patterns)
        assert words_of(held) <= words_of(trained)


def test_what_everybody_asks_first_is_trained_on() -> None:
    trained = {bare(sentence) for patterns in ALL for sentence in chain(*sides(patterns)[0])}
    assert trained >= FAMILIAR


def test_no_pattern_makes_what_was_written_by_hand() -> None:
    made = {bare(sentence) for patterns in FIXED for sentence in chain(*map(expand, patterns))}
    assert not made & {bare(question) for question, _ in HAND_WRITTEN}


def test_the_same_seed_makes_the_same_conversations_and_another_one_others() -> None:
    def made(seed: int) -> list[Any]:
        return [segments(conversation) for conversation in islice(conversations(seed), 50)]

    assert made(1) == made(1)
    assert made(1) != made(2)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_evaluated_is_never_trained_on(task: str) -> None:
    asked = {json.dumps(c.messages[-2]) for c in instances(task, 30) if c.messages[-2]["role"] == "user"}
    trained = {json.dumps(m) for c in islice(conversations(3), 3000) for m in c.messages if m["role"] == "user"}
    assert not asked & trained
