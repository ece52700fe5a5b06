"""Text from tokens: the same text however the bytes are cut, and of a stop string not one character too many."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from bodhi_asgi.engine.detokenizer import TextStream

ALPHABET = st.text(st.sampled_from("aab\n é€漢🙂"), max_size=12)
TEXTS = st.one_of(ALPHABET, st.text(max_size=12))
STOPS = st.lists(st.text(st.sampled_from("ab\n é€🙂"), min_size=1, max_size=4), max_size=3).map(tuple)


def shown(pieces: list[bytes], stop: tuple[str, ...] = ()) -> tuple[list[str], bool]:
    """What is shown after each piece and at the end, and whether a stop string ended it."""
    stream = TextStream(stop)
    parts = []
    for piece in pieces:
        parts.append(stream.push(piece))
        if stream.is_stopped:
            return parts, True
    return [*parts, stream.finish()], stream.is_stopped


def cut(data: bytes, places: list[int]) -> list[bytes]:
    """``data`` in pieces, cut at ``places``."""
    bounds = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[begin:end] for begin, end in pairwise(bounds)]


def expected(text: str, stop: tuple[str, ...]) -> str:
    """``text`` up to the stop string that is complete first, as it grows character by character."""
    for end in range(len(text) + 1):
        ended = [one for one in stop if text[:end].endswith(one)]
        if ended:
            return text[: end - max(map(len, ended))]
    return text


@given(TEXTS)
@example("🙂€é")
def test_a_text_cut_in_two_at_any_byte_is_the_same_text(text: str) -> None:
    data = text.encode()
    for place in range(len(data) + 1):
        parts, _ = shown([data[:place], data[place:]])
        assert "".join(parts) == text
        assert text.startswith(parts[0])


@given(TEXTS, st.lists(st.integers(0, 99), max_size=8))
def test_a_text_cut_into_any_pieces_is_the_same_text(text: str, places: list[int]) -> None:
    parts, is_stopped = shown(cut(text.encode(), places))
    assert ("".join(parts), is_stopped) == (text, False)


@given(st.binary(max_size=24), st.lists(st.integers(0, 99), max_size=8))
@example(b"\xf0\x9f", [1])
@example(b"a\xffb\xc3", [2])
def test_bytes_that_are_no_text_become_the_same_marks_however_they_are_cut(data: bytes, places: list[int]) -> None:
    parts, _ = shown(cut(data, places))
    assert "".join(parts) == data.decode("utf-8", "replace")


@given(TEXTS, STOPS)
@example("aab", ("ab",))
@example("aaab", ("aab", "b"))
@example("x€🙂", ("€🙂",))
def test_a_stop_string_ends_the_text_at_the_same_place_wherever_a_byte_is_cut(text: str, stop: tuple[str, ...]) -> None:
    data = text.encode()
    for place in range(len(data) + 1):
        parts, is_stopped = shown([data[:place], data[place:]], stop)
        said = "".join(parts)
        assert not any(one in said for one in stop)
        assert text.startswith(said)
        assert is_stopped == any(one in text for one in stop)
        assert is_stopped or said == text


@given(TEXTS, STOPS)
def test_byte_by_byte_a_text_ends_where_the_first_stop_string_is_complete(text: str, stop: tuple[str, ...]) -> None:
    parts, is_stopped = shown([bytes([byte]) for byte in text.encode()], stop)
    assert "".join(parts) == expected(text, stop)
    assert is_stopped == (expected(text, stop) != text or any(one in text for one in stop))


@given(TEXTS, STOPS, st.lists(st.integers(0, 99), max_size=8))
def test_what_is_shown_never_ends_in_what_could_begin_a_stop_string(
    text: str, stop: tuple[str, ...], places: list[int]
) -> None:
    stream = TextStream(stop)
    said = ""
    for piece in cut(text.encode(), places):
        said += stream.push(piece)
        if stream.is_stopped:
            break
        begun = [one[:size] for one in stop for size in range(1, len(one))]
        pushed = said + stream._held
        assert not any(pushed.endswith(part) and len(part) > len(stream._held) for part in begun)


@pytest.mark.parametrize(
    ("stop", "pieces", "parts"),
    [
        (("END",), ["one E", "N", "D two"], ["one ", "", ""]),
        (("END",), ["one E", "x"], ["one ", "Ex", ""]),
        (("aab",), ["a", "a", "a", "b"], ["", "", "a", ""]),
        (("b", "abc"), ["a", "b", "c"], ["", "a"]),
        (("\n\n",), ["one\n", "two\n", "\n"], ["one", "\ntwo", ""]),
        ((), ["one", " two"], ["one", " two", ""]),
    ],
)
def test_what_could_begin_a_stop_string_waits_until_it_is_clear(
    stop: tuple[str, ...], pieces: list[str], parts: list[str]
) -> None:
    assert shown([piece.encode() for piece in pieces], stop)[0] == parts


def test_what_was_held_back_is_shown_at_the_end_with_half_a_character_as_its_mark() -> None:
    stream = TextStream(("END",))
    assert stream.push(b"one EN") == "one "
    assert stream.push("é".encode()[:1]) == ""
    assert stream.finish() == "EN�"


def test_a_mark_for_half_a_character_can_complete_a_stop_string_at_the_end() -> None:
    stream = TextStream(("E�",))
    assert stream.push(b"one E\xc3") == "one "
    assert stream.finish() == ""
    assert stream.is_stopped


def test_nothing_follows_a_stop_string() -> None:
    stream = TextStream(("END",))
    assert stream.push(b"one END two") == "one "
    assert (stream.push(b"three"), stream.finish(), stream.is_stopped) == ("", "", True)
