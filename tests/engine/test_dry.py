"""A token that goes on with a repetition is made less likely, the longer the repetition the more."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.dry import MOST_LENGTH, MOST_PENALTY, Repetitions, repetitions
from bodhi_asgi.messages.generation import Sampling

PIECES = [b"a", b"b", b"c", b"\n", b"x:", b":y", b"\xe2\x82", b"\xac", b""]
LAST = len(PIECES) - 1
tokens = st.lists(st.integers(0, LAST), max_size=40)


def made(prompt: Sequence[int], *, window: int = 1000, allowed: int = 2, breakers: tuple[str, ...] = ()) -> Repetitions:
    return Repetitions(
        prompt, PIECES.__getitem__, multiplier=1, base=2, allowed_length=allowed, window=window, breakers=breakers
    )


def since_breaker(said: Sequence[int], breakers: tuple[str, ...]) -> int:
    """How many tokens were said after the last one in which a breaker ends."""
    text, begin, count = b"", 0, 0
    for token in said:
        text += PIECES[token]
        begins = (text.find(breaker.encode(), begin) for breaker in breakers)
        if any(place >= 0 for place in begins):
            begin, count = len(text), 0
        else:
            count += 1
    return count


def expected(said: Sequence[int], window: int, allowed: int, breakers: tuple[str, ...]) -> dict[int, float]:
    """By the definition: every earlier place, compared backwards from the end."""
    most = min(since_breaker(said, breakers), MOST_LENGTH)
    longest: dict[int, int] = {}
    for place in range(max(0, len(said) - window), len(said) - 1):
        length = 0
        while length < min(most, place + 1) and said[place - length] == said[-1 - length]:
            length += 1
        if length >= allowed:
            longest[said[place + 1]] = max(length, longest.get(said[place + 1], 0))
    kept = {token for token in longest if not any(breaker.encode() in PIECES[token] for breaker in breakers)}
    return {token: 2.0 ** (longest[token] - allowed) for token in kept}


@given(tokens, tokens, st.integers(1, 3), st.sampled_from([(), ("\n",), (":", "\n"), ("€",), ("ab", "c")]))
def test_penalties_are_those_of_the_definition_however_the_text_came_about(
    prompt: list[int], answer: list[int], allowed: int, breakers: tuple[str, ...]
) -> None:
    watched = made(prompt, allowed=allowed, breakers=breakers)
    for token in answer:
        watched.accept(token)
    assert watched.penalties() == expected([*prompt, *answer], 1000, allowed, breakers)


@given(tokens, st.integers(2, 12))
def test_what_is_out_of_the_window_is_forgotten(answer: list[int], window: int) -> None:
    watched = made([], window=window)
    for token in answer:
        watched.accept(token)
    assert watched.penalties().keys() == expected(answer, window, 2, ()).keys()


def test_the_longer_a_repetition_the_less_likely_its_next_token() -> None:
    watched = made([0, 1, 2, 0, 1])
    seen = [watched.penalties()]
    for token in (2, 0, 1):
        watched.accept(token)
        seen.append(watched.penalties())
    assert [penalty[token] for penalty, token in zip(seen, (2, 0, 1, 2), strict=True)] == [1, 2, 4, 8]


def test_a_breaker_ends_a_repetition_and_is_never_penalised() -> None:
    assert made([0, 1, 3, 0, 1], breakers=("\n",)).penalties() == {}
    assert made([0, 1, 3, 0, 1]).penalties() == {3: 1}
    assert made([3, 0, 1, 2, 3, 0, 1], breakers=("\n",)).penalties() == {2: 1}, "of a b after the line break"


def test_no_penalty_is_infinite() -> None:
    watched = Repetitions([0] * 300, PIECES.__getitem__, multiplier=100, base=100, window=300, breakers=())
    assert watched.penalties() == {0: MOST_PENALTY}
    assert made([0] * 300).penalties() == {0: 2.0 ** (MOST_LENGTH - 2)}


OFF = [Sampling(), Sampling(dry_multiplier=0), Sampling(dry_multiplier=1, dry_penalty_last_n=0)]


@pytest.mark.parametrize("off", OFF)
def test_without_a_multiplier_or_a_window_nothing_is_watched(off: Sampling) -> None:
    assert repetitions(off, [0, 1], PIECES.__getitem__, 100) is None


def test_options_that_are_not_given_take_the_usual_values() -> None:
    watched = repetitions(Sampling(dry_multiplier=0.8), [0, 1, 2, 0, 1], PIECES.__getitem__, 100)
    assert watched is not None
    watched.accept(2)
    assert watched.penalties() == {0: 0.8 * 1.75}
