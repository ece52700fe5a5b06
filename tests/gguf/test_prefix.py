"""Any header that is written is read again, from a file or bit by bit; any other bytes are refused in bounded room."""

import struct
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.fit import context_bytes, fit, room_tokens
from bodhi_asgi.gguf.reader import (
    KEPT,
    MAX_HEADER_BYTES,
    MAX_KEPT_BYTES,
    MAX_TEXT_BYTES,
    MAX_TEXTS,
    WINDOW,
    MoreNeeded,
    parse_header,
    parse_prefix,
    read_header,
)
from bodhi_asgi.gguf.types import Array, GgufHeader, GgufInvalid, Value
from tests.gguf.files import ARRAY, BOOL, LAYOUTS, TEXT, Pair, Placed, header_bytes

DEMO = DEMO_MODEL_PATH.read_bytes()
DEMO_HEAD = DEMO[: read_header(DEMO_MODEL_PATH).data_offset]

TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
WHOLE = {0: (0, 2**8 - 1), 1: (-(2**7), 2**7 - 1), 2: (0, 2**16 - 1), 3: (-(2**15), 2**15 - 1)}
WHOLE |= {4: (0, 2**32 - 1), 5: (-(2**31), 2**31 - 1), 10: (0, 2**64 - 1), 11: (-(2**63), 2**63 - 1)}
VALUES: dict[int, st.SearchStrategy[object]] = {
    **{kind: st.integers(*bounds) for kind, bounds in WHOLE.items()},
    6: st.floats(width=32, allow_nan=False),
    12: st.floats(allow_nan=False),
    BOOL: st.booleans(),
    TEXT: TEXTS,
}
PAIRS = st.sampled_from([*LAYOUTS, TEXT]).flatmap(lambda kind: st.builds(Pair, st.just(kind), VALUES[kind]))
ARRAYS = st.sampled_from([*LAYOUTS, TEXT]).flatmap(
    lambda kind: st.builds(Pair, st.just(ARRAY), st.lists(VALUES[kind], max_size=8), st.just(kind))
)
METADATA = st.dictionaries(TEXTS.filter(lambda key: key != "general.alignment"), PAIRS | ARRAYS, max_size=8)
TENSORS = st.lists(
    st.builds(
        Placed,
        TEXTS,
        st.lists(st.integers(0, 2**64 - 1), max_size=4).map(tuple),
        st.integers(0, 2**32 - 1),
        st.integers(0, 2**64 - 1),
    ),
    max_size=5,
    unique_by=lambda placed: placed.name,
)
ORDERS = st.sampled_from("<>")


def expected(pair: Pair) -> Value:
    if pair.kind != ARRAY:
        return pair.value  # type: ignore[no-any-return]
    is_text = pair.inner == TEXT
    return Array(len(pair.value), is_text=is_text, values=() if is_text else tuple(pair.value))


@given(METADATA, TENSORS, st.sampled_from((2, 3)), ORDERS)
def test_what_is_written_is_read_again(pairs: dict[str, Pair], tensors: list[Placed], version: int, order: str) -> None:
    data = header_bytes(pairs, tensors, version=version, order=order)
    header = parse_header(data)
    assert (header.version, header.is_big_endian, header.data_offset) == (version, order == ">", len(data))
    assert header.metadata == {key: expected(pair) for key, pair in pairs.items()}
    assert [Placed(one.name, one.shape, one.type, one.offset) for one in header.tensors] == tensors


@given(METADATA, TENSORS, ORDERS, st.integers(0, 2**62))
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_a_header_is_read_from_a_growing_beginning_of_its_file(
    pairs: dict[str, Pair], tensors: list[Placed], order: str, weights: int
) -> None:
    data = header_bytes(pairs, tensors, order=order)
    file_bytes = len(data) + weights
    have = 0
    while isinstance(found := parse_prefix(data[:have], file_bytes), MoreNeeded):
        assert have < found.bytes <= len(data)
        have = found.bytes
    assert found == parse_header(data)


@given(st.integers(0, len(DEMO_HEAD)))
@example(0)
@example(len(DEMO_HEAD) - 1)
def test_every_beginning_of_a_real_header_asks_for_more_or_holds_it(end: int) -> None:
    found = parse_prefix(DEMO[:end], len(DEMO))
    if isinstance(found, MoreNeeded):
        assert end < found.bytes <= len(DEMO_HEAD)
    else:
        assert found == parse_header(DEMO)
    if end < len(DEMO_HEAD) - 64:
        with pytest.raises(GgufInvalid, match="ends in the middle"):
            parse_prefix(DEMO[:end], end)


@given(st.binary(max_size=200), ORDERS)
def test_any_bytes_behind_the_mark_are_refused_or_read(data: bytes, order: str) -> None:
    for head in (b"", b"GGUF", b"GGUF" + struct.pack(f"{order}IQQ", 3, 1, 2)):
        examine(head + data, len(data) + 40)


@given(st.lists(st.tuples(st.integers(0, len(DEMO_HEAD) - 9), st.binary(min_size=1, max_size=8)), max_size=6))
@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_a_real_header_with_changes_is_refused_or_told_without_an_error(changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(DEMO_HEAD)
    for place, piece in changes:
        data[place : place + len(piece)] = piece
    examine(bytes(data), len(DEMO))


BOUNDS = st.sampled_from((0, 1, 7, 2**31 - 1, 2**31, 2**32 - 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1))


@given(st.integers(0, len(DEMO_HEAD) - 8), BOUNDS, ORDERS)
@settings(deadline=None)
def test_impossible_lengths_anywhere_end_in_a_refusal_or_a_harmless_header(place: int, value: int, order: str) -> None:
    data = DEMO_HEAD[:place] + struct.pack(f"{order}Q", value) + DEMO_HEAD[place + 8 :]
    examine(data, len(DEMO))


def examine(data: bytes, file_bytes: int) -> None:
    """All that is told of a header must be tellable of any that is not refused."""
    try:
        header = parse_prefix(data, max(file_bytes, len(data)))
        if isinstance(header, MoreNeeded):
            assert len(data) < header.bytes <= MAX_HEADER_BYTES
            return
        tell(header)
        check(header, file_bytes)
    except GgufInvalid:
        return
    for one in header.tensors:
        assert one.size_bytes is None or header.data_offset + one.offset + one.size_bytes <= file_bytes


def tell(header: GgufHeader) -> None:
    facts = facts_of(header)
    numbers = (facts.parameters, facts.weight_bytes, facts.context_length, facts.layers, facts.heads, facts.vocabulary)
    assert min(numbers) >= 0
    assert facts.bits_per_weight >= 0
    assert fit([header], 2**40).total_bytes >= 0
    assert room_tokens([header], 2**40) >= 0
    assert context_bytes(header, 100_000, "q8_0", "q4_0") >= 0


LARGE = {
    "texts": {f"k{number}": Pair(TEXT, "x" * (MAX_TEXT_BYTES - 1)) for number in range(5)},
    "arrays": {f"k{number}": Pair(ARRAY, [0] * KEPT, 0) for number in range(1 + MAX_KEPT_BYTES // KEPT // 32)},
}


@pytest.mark.parametrize("name", LARGE)
def test_a_header_that_wants_to_be_kept_for_ever_is_refused(name: str) -> None:
    data = header_bytes(LARGE[name])
    tracemalloc.start()
    try:
        with pytest.raises(GgufInvalid, match="more than 16777216 bytes together"):
            parse_header(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * MAX_KEPT_BYTES


def test_what_is_walked_over_takes_no_memory_and_a_header_has_an_end(tmp_path: Path) -> None:
    path = tmp_path / "endless.gguf"
    count = 16 * 1024
    with path.open("wb") as file:
        file.write(b"GGUF" + struct.pack("<IQQ", 3, 0, 5))
        for number in range(5):
            file.write(struct.pack("<Q2sIIQ", 2, f"k{number}".encode(), ARRAY, TEXT, count))
            file.write((struct.pack("<Q", 1016) + bytes(1016)) * count)
    tracemalloc.start()
    try:
        with pytest.raises(GgufInvalid, match=f"more than {MAX_HEADER_BYTES} bytes, as far as the metadata under 'k3'"):
            read_header(path)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * WINDOW


def test_a_file_and_its_bytes_are_read_alike(tmp_path: Path) -> None:
    words = [str(number) for number in range(60_000)]
    pairs = {"general.architecture": Pair(TEXT, "llama"), "words": Pair(ARRAY, words, TEXT)}
    pairs |= {"scores": Pair(ARRAY, [0.5] * 60_000, 6), "template": Pair(TEXT, "{" * 400_000)}
    tensors = [Placed(f"t{number}", (32, 32), 0, 4096 * number) for number in range(2000)]
    path = tmp_path / "model.gguf"
    path.write_bytes(header_bytes(pairs, tensors))
    header = read_header(path)
    assert header == parse_header(path.read_bytes())
    assert header.metadata["words"] == Array(60_000, is_text=True)
    assert header.metadata["scores"] == Array(60_000, is_text=False)
    assert len(header.tensors) == 2000
    assert facts_of(header).parameters == 2000 * 1024


def test_a_header_is_asked_for_up_to_its_limit_and_no_further() -> None:
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", ARRAY, 12, 8 * 1024 * 1024)
    with pytest.raises(GgufInvalid, match=f"more than {MAX_HEADER_BYTES} bytes"):
        parse_prefix(head, 2**40)
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q1sIIQ", 1, b"k", ARRAY, 12, 1024 * 1024)
    assert parse_prefix(head, 2**40) == MoreNeeded(len(head) + 8 * 1024 * 1024)


def test_texts_without_end_are_refused_before_they_are_walked_over() -> None:
    array = struct.pack("<IIQ", ARRAY, TEXT, MAX_TEXTS)
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + struct.pack("<Q1s", 1, b"k") + array
    assert isinstance(parse_prefix(head, 2**40), MoreNeeded)
    more = struct.pack("<Q1sIIQ", 1, b"m", ARRAY, TEXT, MAX_TEXTS + 1)
    with pytest.raises(GgufInvalid, match=f"more than {MAX_TEXTS} texts together"):
        parse_prefix(b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + more, 2**40)
