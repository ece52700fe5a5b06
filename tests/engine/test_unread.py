"""A reader that falls behind gets what waits for him in one piece, and every word of it once."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.types import Chunk
from bodhi_asgi.engine.unread import take
from bodhi_asgi.messages.answers import FinishReason, Logprobs, Usage

PLAIN = st.builds(lambda text: Chunk("w", text), st.sampled_from(["", "a", "bc"]))
OTHERS = st.sampled_from(
    [
        Chunk("w", opening="<think>"),
        Chunk("w", "p", part=Logprobs(())),
        Chunk("w", "end", FinishReason.STOP, Usage(1, 2)),
    ]
)


def test_a_reader_that_keeps_up_gets_each_chunk_as_it_is() -> None:
    chunk = Chunk("w", "a")
    taken, count = take(deque([chunk]))
    assert taken is chunk
    assert count == 1


def test_text_that_waits_is_one_piece_up_to_what_is_more_than_text() -> None:
    last = Chunk("w", "c", FinishReason.STOP, Usage(1, 3))
    waiting = deque([Chunk("w"), Chunk("w", "a"), Chunk("w", "b"), last])
    assert take(waiting) == (Chunk("w"), 1)
    assert take(waiting) == (Chunk("w", "ab"), 2)
    assert take(waiting) == (last, 1)


@given(st.lists(PLAIN | OTHERS, max_size=12))
def test_nothing_is_lost_and_what_is_more_than_text_stays_alone(chunks: list[Chunk]) -> None:
    waiting, taken, counted = deque(chunks), [], 0
    while waiting:
        chunk, count = take(waiting)
        taken.append(chunk)
        counted += count
    assert counted == len(chunks)
    assert "".join(chunk.text for chunk in taken) == "".join(chunk.text for chunk in chunks)
    kept = [chunk for chunk in chunks if chunk.part or chunk.opening or chunk.is_final or not chunk.text]
    assert [chunk for chunk in taken if chunk.part or chunk.opening or chunk.is_final or not chunk.text] == kept
