"""The wire: whatever the pieces, the same messages; whatever else, a refusal."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.process.frames import FRAME_BYTES, HEADER, FrameInvalid, FrameReader, FrameTooLarge, encode

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=("Cs",))),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), inner, max_size=4)
    ),
    max_leaves=10,
)
messages = st.dictionaries(st.text(st.characters(exclude_categories=("Cs",))), json_values, max_size=4)


@given(st.lists(messages, max_size=5), st.data())
def test_messages_arrive_however_the_bytes_are_cut(sent: list[dict[str, object]], data: st.DataObject) -> None:
    stream = b"".join(map(encode, sent))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    reader = FrameReader()
    received = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        received += reader.feed(stream[start:end])
    assert received == sent
    assert reader.is_between_frames


def test_every_single_split_yields_the_same_two_messages() -> None:
    sent = [{"op": "chunks", "rows": [[1, "grüß dich ☃"]]}, {"op": "pong", "id": 7}]
    stream = b"".join(map(encode, sent))
    for cut in range(len(stream) + 1):
        reader = FrameReader()
        first = list(reader.feed(stream[:cut]))
        assert reader.is_between_frames == (cut in (0, len(encode(sent[0])), len(stream)))
        assert [*first, *reader.feed(stream[cut:])] == sent


@given(st.binary(min_size=4, max_size=200))
def test_garbage_yields_messages_or_a_refusal_and_nothing_else(garbage: bytes) -> None:
    try:
        received = list(FrameReader().feed(garbage))
    except FrameInvalid:
        return
    assert all(isinstance(message, dict) for message in received)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"null", b'"text"', b"{", b'{"a": NaN}', b"\xff\xfe", b'{"a":1}x'])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(FrameInvalid):
        list(FrameReader().feed(HEADER.pack(len(body)) + body))


def test_a_length_over_the_limit_is_refused_before_its_body_comes() -> None:
    with pytest.raises(FrameInvalid):
        list(FrameReader().feed(HEADER.pack(FRAME_BYTES + 1)))


def test_what_came_before_garbage_is_still_heard() -> None:
    messages = FrameReader().feed(encode({"op": "started", "id": 1}) + b"\xff" * 64)
    assert next(messages) == {"op": "started", "id": 1}
    with pytest.raises(FrameInvalid):
        next(messages)


def test_the_largest_frame_passes_and_one_byte_more_is_not_sent() -> None:
    room = FRAME_BYTES - len(orjson.dumps({"t": ""}))
    (message,) = FrameReader().feed(encode({"t": "x" * room}))
    assert len(message["t"]) == room
    with pytest.raises(FrameTooLarge):
        encode({"t": "x" * (room + 1)})
