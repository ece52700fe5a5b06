"""Writes GGUF headers by hand, true ones and others, in either byte order."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

TEXT, ARRAY, BOOL = 8, 9, 7
LAYOUTS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", BOOL: "B", 10: "Q", 11: "q", 12: "d"}


@dataclass(frozen=True, slots=True)
class Pair:
    """A value and its type; of an array, the type of its entries too."""

    kind: int
    value: Any
    inner: int = 0


@dataclass(frozen=True, slots=True)
class Placed:
    """A tensor's entry in the header."""

    name: str
    shape: tuple[int, ...]
    kind: int
    offset: int


def header_bytes(
    pairs: Mapping[str, Pair],
    tensors: Sequence[Placed] = (),
    *,
    version: int = 3,
    order: str = "<",
    alignment: int = 32,
) -> bytes:
    """A header, filled up to where the weights begin."""
    made = b"GGUF" + struct.pack(f"{order}IQQ", version, len(tensors), len(pairs))
    for key, pair in pairs.items():
        made += _text(key, order) + struct.pack(f"{order}I", pair.kind) + _value(pair, order)
    for one in tensors:
        layout = f"{order}I{len(one.shape)}QIQ"
        made += _text(one.name, order) + struct.pack(layout, len(one.shape), *one.shape, one.kind, one.offset)
    return made + bytes(-len(made) % alignment)


def model_bytes(arch: str = "llama", **numbers: int) -> bytes:
    """A header of a model without weights; ``numbers`` stand under its architecture, ``__`` for dots."""
    pairs = {"general.architecture": Pair(TEXT, arch)}
    pairs |= {f"{arch}.{key.replace('__', '.')}": Pair(4, number) for key, number in numbers.items()}
    return header_bytes(pairs)


def part_bytes(number: int, count: int) -> bytes:
    """A header of one part of a split model without weights, counted from 1."""
    split = {"split.no": Pair(2, number - 1), "split.count": Pair(2, count)}
    return header_bytes({"general.architecture": Pair(TEXT, "llama"), **split})


def _value(pair: Pair, order: str) -> bytes:
    if pair.kind == ARRAY:
        head = struct.pack(f"{order}IQ", pair.inner, len(pair.value))
        return head + b"".join(_value(Pair(pair.inner, value), order) for value in pair.value)
    if pair.kind == TEXT:
        return _text(pair.value, order)
    return struct.pack(order + LAYOUTS[pair.kind], pair.value)


def _text(value: str, order: str) -> bytes:
    encoded = value.encode()
    return struct.pack(f"{order}Q", len(encoded)) + encoded
