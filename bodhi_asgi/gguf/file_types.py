"""What ``general.file_type`` says: how most of a model's weights are packed, by the name that people know it by.

Source: ``llama_ftype`` of ``llama.h``. Withdrawn numbers keep the names they had.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from bodhi_asgi.gguf.names import UNQUANTISED
from bodhi_asgi.gguf.types import TENSOR_TYPES, Tensor

GUESSED: Final = 1024
"""Added to a number that llama.cpp worked out itself."""

FILE_TYPES: Final[Mapping[int, str]] = {
    0: "F32",
    1: "F16",
    2: "Q4_0",
    3: "Q4_1",
    4: "Q4_1_F16",
    7: "Q8_0",
    8: "Q5_0",
    9: "Q5_1",
    10: "Q2_K",
    11: "Q3_K_S",
    12: "Q3_K_M",
    13: "Q3_K_L",
    14: "Q4_K_S",
    15: "Q4_K_M",
    16: "Q5_K_S",
    17: "Q5_K_M",
    18: "Q6_K",
    19: "IQ2_XXS",
    20: "IQ2_XS",
    21: "Q2_K_S",
    22: "IQ3_XS",
    23: "IQ3_XXS",
    24: "IQ1_S",
    25: "IQ4_NL",
    26: "IQ3_S",
    27: "IQ3_M",
    28: "IQ2_S",
    29: "IQ2_M",
    30: "IQ4_XS",
    31: "IQ1_M",
    32: "BF16",
    33: "Q4_0_4_4",
    34: "Q4_0_4_8",
    35: "Q4_0_8_8",
    36: "TQ1_0",
    37: "TQ2_0",
    38: "MXFP4_MOE",
    39: "NVFP4",
    40: "Q1_0",
    41: "Q2_0",
}
"""By the number in the file."""

OFTEN_ELSE: Final = ("token_embd.weight", "output.weight", "per_layer_token_embd.weight")
"""Tensors that are packed otherwise than the rest, and in small models outweigh it."""


def packing_of(tensors: Iterable[Tensor]) -> str:
    """The type in which most numbers are, as ``Q4_K``; empty without tensors of a known type."""
    counts: Counter[str] = Counter()
    beside: Counter[str] = Counter()
    for tensor in tensors:
        packing = TENSOR_TYPES.get(tensor.type)
        if packing is not None:
            (beside if tensor.name in OFTEN_ELSE else counts)[packing.name] += tensor.elements
    most = (counts or beside).most_common(1)
    return most[0][0] if most else ""


def label_of(file_type: object, tensors: Iterable[Tensor]) -> str:
    """The quantisation of a model: what its header calls it, unless its weights say that this cannot be.

    A mix such as ``Q4_K_M`` is known by its name only. A header that says nothing, or calls weights quantised that are
    not, or the other way round, gives way to :func:`packing_of`.
    """
    packing = packing_of(tensors)
    said = FILE_TYPES.get(file_type & ~GUESSED, "") if type(file_type) is int and file_type >= 0 else ""
    if not said or not packing:
        return said or packing
    return said if (said in UNQUANTISED) == (packing in UNQUANTISED) else packing
