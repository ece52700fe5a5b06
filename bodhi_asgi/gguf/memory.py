"""How much memory a model takes, by its header."""

from typing import Final

from bodhi_asgi.gguf.types import Array, GgufHeader

CACHE_BYTES_PER_VALUE: Final = 2
"""Keys and values are kept in 16 bits."""

WITHOUT_CACHE: Final = frozenset(
    (
        "bert",
        "nomic-bert",
        "nomic-bert-moe",
        "jina-bert-v2",
        "jina-bert-v3",
        "neo-bert",
        "eurobert",
        "modern-bert",
        "gemma-embedding",
        "dream",
        "llada",
        "llada-moe",
        "rnd1",
    )
)
"""Architectures for which llama.cpp keeps no memory: they look both ways, and read everything again."""


def weight_bytes(header: GgufHeader) -> int:
    """Bytes of all tensors whose type is known."""
    return sum(tensor.size_bytes or 0 for tensor in header.tensors)


def cache_bytes(header: GgufHeader, tokens: int) -> int | None:
    """Bytes of the KV cache for so many tokens: a key and a value of each layer's KV heads per token.

    An upper bound: layers that keep a window or a state only take less. None when the header does not tell the sizes.
    """
    if header.architecture in WITHOUT_CACHE:
        return 0
    layers, heads = header.number("block_count"), header.number("attention.head_count")
    width = header.number("embedding_length")
    if not (layers and heads and width):
        return None
    per_head = header.number("attention.key_length", width // heads)
    per_head += header.number("attention.value_length", width // heads)
    kv_heads = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    each = [value for value in kv_heads.values if isinstance(value, int)] if isinstance(kv_heads, Array) else []
    all_heads = sum(each) if each else layers * header.number("attention.head_count_kv", heads)
    return tokens * all_heads * per_head * CACHE_BYTES_PER_VALUE
