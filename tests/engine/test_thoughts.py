"""Counting thoughts: which tokens of an answer are some, wherever its markers are split."""

from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.families import syntaxes
from bodhi_asgi.engine.thoughts import Thoughts


def heard(*pieces: str, opening: str = "") -> Thoughts:
    thoughts = Thoughts(syntaxes.THINK, opening)
    for piece in pieces:
        thoughts.hear(piece.encode())
    return thoughts


def test_tokens_up_to_the_closing_marker_are_thoughts() -> None:
    assert heard("a", "b", "</think>", "c", opening="<think>\n").tokens == 3
    assert heard("a", "</", "think", ">", "c", opening="<think>\n").tokens == 4
    assert heard("<think>", "a", "</think>", "b").tokens == 3


def test_an_answer_that_has_begun_to_speak_does_not_think() -> None:
    assert heard("Write ", "<think>", " here").tokens == 0
    assert heard(" \n", "<think>", "a").is_open


def test_a_family_without_thoughts_has_none() -> None:
    thoughts = Thoughts(None, "<think>")
    thoughts.hear(b"<think>")
    assert (thoughts.tokens, thoughts.is_open) == (0, False)


@given(st.lists(st.integers(1, 5), max_size=12))
def test_thoughts_close_however_their_marker_is_split(sizes: list[int]) -> None:
    text = "so it is</think>yes"
    pieces = []
    for size in sizes:
        pieces.append(text[:size])
        text = text[size:]
    thoughts = heard(*(piece for piece in [*pieces, text] if piece), opening="<think>\n")
    assert not thoughts.is_open
    assert thoughts.tokens >= 1
