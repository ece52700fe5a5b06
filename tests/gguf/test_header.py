"""Headers of model files: read in every form, refused where they contradict themselves, sized up."""

import math
import random
import struct
from collections.abc import Callable
from pathlib import Path

import gguf
import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.memory import cache_bytes, weight_bytes
from bodhi_asgi.gguf.parts import parts
from bodhi_asgi.gguf.reader import KEPT, MAX_ARRAY, MAX_PAIRS, MAX_TEXT_BYTES, parse_header, read_header
from bodhi_asgi.gguf.types import TENSOR_TYPES, Array, GgufInvalid, Tensor

DEMO = DEMO_MODEL_PATH.read_bytes()
INT, TEXT, ARRAY = 4, 8, 9


def text(value: str, order: str = "<") -> bytes:
    return struct.pack(order + "Q", len(value)) + value.encode()


def pair(key: str, kind: int, value: bytes, order: str = "<") -> bytes:
    return text(key, order) + struct.pack(order + "I", kind) + value


def tensor(name: str, shape: tuple[int, ...], kind: int, offset: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


NAMED = pair("general.architecture", TEXT, text("llama"))


def file(
    pairs: list[bytes] | None = None,
    tensors: list[bytes] | None = None,
    *,
    data: int = 0,
    head: tuple[int, ...] | None = None,
) -> bytes:
    """A file of version 3 with ``data`` bytes of weights."""
    pairs = [NAMED] if pairs is None else pairs
    tensors = tensors or []
    version, count, length = head or (3, len(tensors), len(pairs))
    start = b"GGUF" + struct.pack("<IQQ", version, count, length) + b"".join(pairs) + b"".join(tensors)
    return start + bytes(-len(start) % 32 + data)


def examine(data: bytes) -> None:
    check(parse_header(data), len(data))


def test_the_demo_model_is_read_as_the_gguf_package_reads_it() -> None:
    header = read_header(DEMO_MODEL_PATH)
    check(header, len(DEMO))
    peer = gguf.GGUFReader(DEMO_MODEL_PATH)
    assert header.version == 3
    assert [(one.name, one.shape, one.type) for one in header.tensors] == [
        (other.name, tuple(map(int, other.shape)), other.tensor_type) for other in peer.tensors
    ]
    assert [header.data_offset + one.offset for one in header.tensors] == [one.data_offset for one in peer.tensors]
    assert [one.size_bytes for one in header.tensors] == [other.n_bytes for other in peer.tensors]
    assert set(header.metadata) == {key for key in peer.fields if not key.startswith("GGUF.")}
    assert header.architecture == "llama"
    assert header.metadata["tokenizer.ggml.tokens"] == Array(
        len(peer.fields["tokenizer.ggml.tokens"].data), is_text=True
    )


def test_every_packing_is_the_one_the_gguf_package_knows() -> None:
    # Q8_1 exists in memory only; the package remembers its size of former days.
    for kind, (block, size) in gguf.GGML_QUANT_SIZES.items():
        known = TENSOR_TYPES[int(kind)]
        assert known.name == kind.name
        assert (known.block, known.size) == (block, size) or kind.name == "Q8_1"


def test_other_byte_orders_and_versions_are_read() -> None:
    big = b"GGUF" + struct.pack(">IQQ", 2, 0, 2)
    big += pair("general.architecture", TEXT, text("llama", ">"), ">")
    big += pair("llama.block_count", INT, struct.pack(">I", 7), ">")
    header = parse_header(big)
    assert (header.version, header.is_big_endian, header.number("block_count")) == (2, True, 7)


def test_long_arrays_are_counted_and_short_ones_kept() -> None:
    short = pair("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ3I", INT, 3, 4, 8, 2))
    long = pair("a.long", ARRAY, struct.pack("<IQ", INT, KEPT + 1) + bytes(4 * (KEPT + 1)))
    header = parse_header(file([NAMED, short, long, pair("a.flag", 7, b"\x01"), pair("a.real", 6, bytes(4))]))
    assert header.metadata["a.long"] == Array(KEPT + 1, is_text=False)
    assert header.metadata["a.flag"] is True
    assert header.metadata["a.real"] == 0.0
    assert header.number("attention.head_count_kv") == 8
    assert header.number("missing", 5) == 5
    assert header.number("attention.head_count_kv".replace("_kv", ""), 1) == 1


REFUSED: dict[str, tuple[bytes, str]] = {
    "no mark": (b"PK\x03\x04" + bytes(64), "mark of the GGUF format"),
    "a text": (b"GG", "ends in the middle of the head"),
    "version 1": (file(head=(1, 0, 1)), "version 1"),
    "version 0": (file(head=(0, 0, 1)), "version 0"),
    "version 4": (file(head=(4, 0, 1)), "version 4"),
    "many tensors": (file(head=(3, 2**63, 1)), "counts are impossible"),
    "many pairs": (file(head=(3, 0, MAX_PAIRS + 1)), "counts are impossible"),
    "too few pairs": (b"GGUF" + struct.pack("<IQQ", 3, 0, 2) + NAMED, "in the middle of the metadata's key 2 of 2"),
    "a long text": (file([pair("a", TEXT, struct.pack("<Q", MAX_TEXT_BYTES + 1))]), "no more than 4194304 are read"),
    "an endless text": (file([pair("a", TEXT, struct.pack("<Q", 2**64 - 1))]), "no more than"),
    "a key twice": (file([NAMED, NAMED]), "stands there twice"),
    "a strange type": (file([pair("a", 77, b"")]), "unknown type 77"),
    "a strange array": (file([pair("a", ARRAY, struct.pack("<IQ", 77, 1))]), "array of the unknown type 77"),
    "an array of arrays": (file([pair("a", ARRAY, struct.pack("<IQ", ARRAY, 1))]), "array of the unknown type 9"),
    "a long array": (file([pair("a", ARRAY, struct.pack("<IQ", INT, MAX_ARRAY + 1))]), "no more than 16777216"),
    "a cut array": (
        file([pair("a", ARRAY, struct.pack("<IQ", INT, 500))]),
        "in the middle of the metadata under 'a'",
    ),
    "a cut text array": (file([pair("a", ARRAY, struct.pack("<IQQ", TEXT, 2, 2**60))]), "ends in the middle"),
    "no architecture": (file([]), "general.architecture"),
    "an odd alignment": (file([NAMED, pair("general.alignment", INT, struct.pack("<I", 33))]), "power of two"),
    "no alignment": (file([NAMED, pair("general.alignment", INT, struct.pack("<I", 0))]), "power of two"),
    "an alignment in words": (file([NAMED, pair("general.alignment", TEXT, text("32"))]), "power of two"),
    "a tensor twice": (
        file(tensors=[tensor("t", (1,), 0, 0), tensor("t", (1,), 0, 32)], data=64),
        "stands there twice",
    ),
    "five dimensions": (file(tensors=[tensor("t", (1,) * 5, 0, 0)], data=64), "has 5 dimensions"),
    "no elements": (file(tensors=[tensor("t", (0, 4), 0, 0)], data=64), "impossible shape"),
    "endless elements": (file(tensors=[tensor("t", (2**32, 2**32, 2**32), 0, 0)], data=64), "impossible shape"),
    "a broken row": (file(tensors=[tensor("t", (33,), 8, 0)], data=64), "rows of 33, and Q8_0 packs 32"),
    "too few weights": (file(tensors=[tensor("t", (64,), 0, 0)], data=64), "lies outside the file"),
    "weights beyond": (file(tensors=[tensor("t", (1,), 0, 2**63)], data=64), "lies outside the file"),
    "weights shared": (
        file(tensors=[tensor("a", (16,), 0, 0), tensor("b", (16,), 0, 32)], data=96),
        "'a' and 'b' overlap",
    ),
    "no layers": (
        file([NAMED, pair("llama.block_count", INT, bytes(4))], [tensor("t", (1,), 0, 0)], data=4),
        "'llama.block_count' is 0",
    ),
    "an uneven width": (
        file(
            [
                NAMED,
                pair("llama.embedding_length", INT, struct.pack("<I", 65)),
                pair("llama.attention.head_count", INT, struct.pack("<I", 4)),
            ],
            [tensor("t", (1,), 0, 0)],
            data=4,
        ),
        "does not divide among 4 heads",
    ),
    "an odd rope": (
        file([NAMED, pair("llama.rope.dimension_count", INT, struct.pack("<I", 7))], [tensor("t", (1,), 0, 0)], data=4),
        "must be even",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_contradicts_itself_is_refused_with_the_place(name: str) -> None:
    data, expected = REFUSED[name]
    with pytest.raises(GgufInvalid, match=expected) as refused:
        examine(data)
    assert refused.value.status == 400


def test_an_empty_file_and_a_missing_one_are_told_apart(tmp_path: Path) -> None:
    empty = tmp_path / "empty.gguf"
    empty.touch()
    with pytest.raises(GgufInvalid, match="empty"):
        read_header(empty)
    with pytest.raises(FileNotFoundError):
        read_header(tmp_path / "missing.gguf")


def test_a_type_of_tomorrow_is_left_to_llama_cpp() -> None:
    data = file(tensors=[tensor("t", (64,), 1000, 0)], data=8)
    examine(data)
    assert parse_header(data).tensors[0].size_bytes is None


def test_a_file_cut_anywhere_is_refused() -> None:
    header_end = read_header(DEMO_MODEL_PATH).data_offset
    for cut in [*range(0, header_end, 97), len(DEMO) - 1]:
        with pytest.raises(GgufInvalid):
            examine(DEMO[:cut])


def flip(data: bytearray, dice: random.Random, end: int) -> None:
    data[dice.randrange(end)] = dice.randrange(256)


def boundary(data: bytearray, dice: random.Random, end: int) -> None:
    value = dice.choice((0, 1, 2**31, 2**32 - 1, 2**63 - 1, 2**63, 2**64 - 1))
    place = dice.randrange(end - 8)
    data[place : place + 8] = struct.pack("<Q", value)


@pytest.mark.parametrize("mutate", [flip, boundary])
def test_a_damaged_header_is_refused_or_keeps_its_weights_inside_the_file(
    mutate: Callable[[bytearray, random.Random, int], None],
) -> None:
    dice = random.Random(7)
    end = read_header(DEMO_MODEL_PATH).data_offset
    refused = 0
    for _ in range(1500):
        data = bytearray(DEMO[: end + 64])
        mutate(data, dice, end)
        try:
            header = parse_header(bytes(data))
            check(header, len(DEMO))
        except GgufInvalid:
            refused += 1
            continue
        for one in header.tensors:
            assert one.size_bytes is None or header.data_offset + one.offset + one.size_bytes <= len(DEMO)
    assert refused > 100


def test_memory_is_weights_and_a_key_and_a_value_for_each_token_layer_and_head() -> None:
    header = read_header(DEMO_MODEL_PATH)
    assert weight_bytes(header) == sum(one.n_bytes for one in gguf.GGUFReader(DEMO_MODEL_PATH).tensors)
    layers, heads = header.number("block_count"), header.number("attention.head_count")
    width = header.number("embedding_length")
    assert cache_bytes(header, 1000) == 1000 * layers * 2 * width * 2
    assert heads > 0
    assert cache_bytes(parse_header(file()), 1000) is None


def test_a_tensor_knows_its_size() -> None:
    assert Tensor("t", (32, 3), 8, 0).size_bytes == 3 * 34
    assert Tensor("t", (), 0, 0).size_bytes == 4


def test_the_cache_counts_each_layers_own_heads() -> None:
    numbers = {"block_count": 3, "attention.head_count": 4, "embedding_length": 64}
    pairs = [pair(f"llama.{key}", INT, struct.pack("<I", value)) for key, value in numbers.items()]
    heads = pair("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ3I", INT, 3, 4, 1, 1))
    assert cache_bytes(parse_header(file([NAMED, *pairs, heads])), 10) == 10 * (4 + 1 + 1) * (16 + 16) * 2


def test_counts_that_are_no_whole_numbers_are_as_if_they_were_not_there() -> None:
    numbers = {"block_count": 3, "attention.head_count": 4, "embedding_length": 64}
    pairs = [pair(f"llama.{key}", INT, struct.pack("<I", value)) for key, value in numbers.items()]
    heads = pair("llama.attention.head_count_kv", ARRAY, struct.pack("<IQ2f", 6, 2, math.nan, math.inf))
    header = parse_header(file([NAMED, *pairs, heads]))
    assert header.number("attention.head_count_kv", 7) == 7
    assert cache_bytes(header, 10) == 10 * 3 * 4 * (16 + 16) * 2


def test_the_parts_of_a_model_are_found_and_missed(tmp_path: Path) -> None:
    names = [f"m-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    for name in names:
        (tmp_path / name).touch()
    assert [part.name for part in parts(tmp_path / names[0])] == names
    (tmp_path / names[1]).unlink()
    with pytest.raises(GgufInvalid, match=r"lacks 1 of its 3 parts, first 'm-00002-of-00003\.gguf'"):
        parts(tmp_path / names[0])
    assert parts(tmp_path / "whole.gguf") == [tmp_path / "whole.gguf"]


def test_an_encoder_has_no_cache() -> None:
    named = pair("general.architecture", TEXT, text("bert"))
    numbers = {"block_count": 3, "attention.head_count": 4, "embedding_length": 64}
    pairs = [pair(f"bert.{key}", INT, struct.pack("<I", value)) for key, value in numbers.items()]
    assert cache_bytes(parse_header(file([named, *pairs])), 1000) == 0
