"""What a GGUF header holds.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md; block sizes from ``ggml-common.h`` of llama.cpp.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from bodhi_asgi.errors import Invalid

Scalar: TypeAlias = int | float | bool | str

DEFAULT_ALIGNMENT: Final = 32
"""Of tensors in the file, in bytes, where the header names none."""


MOST_SHOWN: Final = 512
"""Characters of a message, which may quote what a file says."""


class GgufInvalid(Invalid):
    """The file is no GGUF model, or one that contradicts itself; the message says where."""

    code = "model_file_invalid"

    def __init__(self, message: str) -> None:
        super().__init__(printable(message, MOST_SHOWN))


def printable(text: str, most: int) -> str:
    """A file's words as one line for a terminal, a log or a database, where nothing may move a cursor."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in text[:most])


@dataclass(frozen=True, slots=True)
class Array:
    """An array of the metadata. ``values`` are kept for arrays of up to 1,024 numbers, such as one per layer."""

    length: int
    is_text: bool
    values: tuple[int | float | bool, ...] = ()


Value: TypeAlias = Scalar | Array


@dataclass(frozen=True, slots=True)
class TensorType:
    """How elements are packed: ``block`` of them in ``size`` bytes."""

    name: str
    block: int
    size: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor: ``shape`` counts elements, fastest first; ``offset`` is in bytes from the data's beginning."""

    name: str
    shape: tuple[int, ...]
    type: int
    offset: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)

    @property
    def size_bytes(self) -> int | None:
        """Bytes in the file, or None for a type that this version does not know."""
        packing = TENSOR_TYPES.get(self.type)
        return None if packing is None else -(-self.elements // packing.block) * packing.size


@dataclass(frozen=True, slots=True)
class GgufHeader:
    """Everything before the weights. ``data_offset`` is where they begin, each at a multiple of ``alignment``."""

    version: int
    is_big_endian: bool
    metadata: Mapping[str, Value]
    tensors: tuple[Tensor, ...]
    data_offset: int
    alignment: int = DEFAULT_ALIGNMENT

    @property
    def architecture(self) -> str:
        """``llama``, ``qwen2``, … or an empty text."""
        return self.text("general.architecture")

    def number(self, key: str, default: int = 0) -> int:
        """A whole number of 0 or more under ``<architecture>.key``; of one per layer, the largest."""
        found = self.metadata.get(f"{self.architecture}.{key}")
        values = found.values if isinstance(found, Array) else (found,)
        return max((int(value) for value in values if isinstance(value, int) and value >= 0), default=default)

    def text(self, key: str) -> str:
        """The text under ``key``, empty where there is none."""
        found = self.metadata.get(key)
        return found if isinstance(found, str) else ""


TENSOR_TYPES: Final[Mapping[int, TensorType]] = {
    0: TensorType("F32", 1, 4),
    1: TensorType("F16", 1, 2),
    2: TensorType("Q4_0", 32, 18),
    3: TensorType("Q4_1", 32, 20),
    6: TensorType("Q5_0", 32, 22),
    7: TensorType("Q5_1", 32, 24),
    8: TensorType("Q8_0", 32, 34),
    9: TensorType("Q8_1", 32, 36),
    10: TensorType("Q2_K", 256, 84),
    11: TensorType("Q3_K", 256, 110),
    12: TensorType("Q4_K", 256, 144),
    13: TensorType("Q5_K", 256, 176),
    14: TensorType("Q6_K", 256, 210),
    15: TensorType("Q8_K", 256, 292),
    16: TensorType("IQ2_XXS", 256, 66),
    17: TensorType("IQ2_XS", 256, 74),
    18: TensorType("IQ3_XXS", 256, 98),
    19: TensorType("IQ1_S", 256, 50),
    20: TensorType("IQ4_NL", 32, 18),
    21: TensorType("IQ3_S", 256, 110),
    22: TensorType("IQ2_S", 256, 82),
    23: TensorType("IQ4_XS", 256, 136),
    24: TensorType("I8", 1, 1),
    25: TensorType("I16", 1, 2),
    26: TensorType("I32", 1, 4),
    27: TensorType("I64", 1, 8),
    28: TensorType("F64", 1, 8),
    29: TensorType("IQ1_M", 256, 56),
    30: TensorType("BF16", 1, 2),
    34: TensorType("TQ1_0", 256, 54),
    35: TensorType("TQ2_0", 256, 66),
    39: TensorType("MXFP4", 32, 17),
    40: TensorType("NVFP4", 64, 36),
    41: TensorType("Q1_0", 128, 18),
    42: TensorType("Q2_0", 64, 18),
}
"""By the number in the file; the numbers that are missing were withdrawn."""
