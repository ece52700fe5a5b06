"""What a header must not contradict, before llama.cpp, which ends its process over some of it, is given the file."""

from itertools import pairwise
from typing import Final

from bodhi_asgi.gguf.types import TENSOR_TYPES, GgufHeader, GgufInvalid, Tensor

MAX_ELEMENTS: Final = 2**48
MAX_LAYERS: Final = 4096


def check(header: GgufHeader, file_bytes: int) -> None:
    """Raises GgufInvalid for weights outside the file and for dimensions that cannot be.

    What is said of the vocabulary is not checked here: a model shows that it can tokenise when it is loaded.
    """
    _check_tensors(header, file_bytes)
    number = header.metadata.get("split.no")
    if isinstance(number, int) and number > 0:
        return  # what a further part of a model leaves out stands in its first
    if not header.architecture:
        raise GgufInvalid("it does not name its architecture ('general.architecture')")
    if header.tensors:
        _check_dimensions(header)


def _check_tensors(header: GgufHeader, file_bytes: int) -> None:
    room = file_bytes - header.data_offset
    sized: list[tuple[int, int, Tensor]] = []
    for tensor in header.tensors:
        name = f"the tensor '{tensor.name[:64]}'"
        if tensor.elements > MAX_ELEMENTS or any(size < 1 for size in tensor.shape):
            raise GgufInvalid(f"{name} has the impossible shape {list(tensor.shape)}")
        if tensor.offset % header.alignment:
            raise GgufInvalid(
                f"{name} begins at {tensor.offset}, and all must begin at multiples of {header.alignment}"
            )
        size = tensor.size_bytes
        if size is None:
            continue  # of a type that came after this version: llama.cpp knows it, or refuses it by name
        packing = TENSOR_TYPES[tensor.type]
        if tensor.shape and tensor.shape[0] % packing.block:
            raise GgufInvalid(f"{name} has rows of {tensor.shape[0]}, and {packing.name} packs {packing.block}")
        if tensor.offset > room or size > room - tensor.offset:
            raise GgufInvalid(f"{name} lies outside the file, which has {file_bytes} bytes: it is truncated or corrupt")
        sized.append((tensor.offset, tensor.offset + size, tensor))
    sized.sort(key=lambda entry: entry[:2])
    for (_, end, one), (begin, _, other) in pairwise(sized):
        if begin < end:
            raise GgufInvalid(f"the tensors '{one.name[:64]}' and '{other.name[:64]}' overlap")


def _check_dimensions(header: GgufHeader) -> None:
    arch = header.architecture
    for key, most in (("block_count", MAX_LAYERS), ("embedding_length", 2**24), ("context_length", 2**31)):
        if f"{arch}.{key}" in header.metadata and not 1 <= header.number(key) <= most:
            raise GgufInvalid(f"'{arch}.{key}' is {header.number(key)}, and must be from 1 to {most}")
    heads, width = header.number("attention.head_count"), header.number("embedding_length")
    has_own_width = f"{arch}.attention.key_length" in header.metadata
    if heads and width and not has_own_width and width % heads:
        raise GgufInvalid(f"its width of {width} does not divide among {heads} heads")
    if header.number("rope.dimension_count") % 2:
        raise GgufInvalid(f"'{arch}.rope.dimension_count' is {header.number('rope.dimension_count')}, and must be even")
