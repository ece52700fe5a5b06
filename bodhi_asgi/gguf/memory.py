"""How much memory a model takes, by its header: weights as they are held, the context's cache, states of sequences."""

import platform
from typing import Final

from bodhi_asgi.gguf.types import TENSOR_TYPES, Array, GgufHeader, Tensor

TYPES: Final = {packing.name: packing for packing in TENSOR_TYPES.values()}

REPACKED: Final = {
    "x86_64": {"Q4_0": 8, "Q4_K": 8, "IQ4_NL": 8},
    "arm64": {"Q4_0": 4, "Q4_K": 8, "IQ4_NL": 4, "Q8_0": 4},
}
"""Types that llama.cpp lays out anew for the processor, and of how many their rows must be a multiple.

Source: ``ggml_repack_get_optimal_repack_type`` of ``ggml-cpu/repack.cpp``, for processors with AVX2 and with dotprod.
"""

LOOKED_UP: Final = ("token_embd", "position_embd", "token_types", "per_layer_token_embd", "rope_", "conv1d", "ssm_conv")
"""Beginnings, or parts, of the names of tensors that are read by rows or elements and stay as they are."""

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


def repacked_bytes(header: GgufHeader, machine: str = "") -> int:
    """Bytes of the tensors that are laid out anew when the model is computed by the processor."""
    machine = {"AMD64": "x86_64", "aarch64": "arm64"}.get(machine or platform.machine(), machine or platform.machine())
    rows = REPACKED.get(machine, {})
    return sum(tensor.size_bytes or 0 for tensor in header.tensors if _is_repacked(tensor, rows))


def _is_repacked(tensor: Tensor, rows: dict[str, int]) -> bool:
    packing = TENSOR_TYPES.get(tensor.type)
    multiple = rows.get(packing.name) if packing is not None else None
    if multiple is None or len(tensor.shape) < 2 or any(part in tensor.name for part in LOOKED_UP):
        return False
    return tensor.shape[1] % multiple == 0


def cache_bytes(header: GgufHeader, tokens: int, type_k: str = "f16", type_v: str = "f16") -> int | None:
    """Bytes of the KV cache for so many tokens: a key and a value of each layer's KV heads per token, in these types.

    An upper bound: layers that keep a window or a state only take less. None when the header does not tell the sizes.
    """
    if header.architecture in WITHOUT_CACHE:
        return 0
    layers, heads = header.number("block_count"), header.number("attention.head_count")
    width = header.number("embedding_length")
    if min(layers, heads, width) < 1:
        return None
    kv_heads = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    each = [value for value in kv_heads.values if isinstance(value, int)] if isinstance(kv_heads, Array) else []
    all_heads = sum(each) if each else layers * header.number("attention.head_count_kv", heads)
    keys = header.number("attention.key_length", width // heads)
    values = header.number("attention.value_length", width // heads)
    # With multi-head latent attention the values are a part of the keys.
    is_latent = f"{header.architecture}.attention.key_length_mla" in header.metadata
    return tokens * all_heads * (_packed(keys, type_k) + (0 if is_latent else _packed(values, type_v)))


def _packed(numbers: int, name: str) -> int:
    packing = TYPES[name.upper()]
    return -(-numbers // packing.block) * packing.size


def state_bytes(header: GgufHeader, sequences: int) -> int:
    """Bytes of the states that layers without attention keep for each sequence (Mamba's, in 32 bits); 0 without any."""
    inner, size = header.number("ssm.inner_size"), header.number("ssm.state_size")
    kv_heads = header.metadata.get(f"{header.architecture}.attention.head_count_kv")
    layers = header.number("block_count")
    if isinstance(kv_heads, Array):
        layers = sum(value == 0 for value in kv_heads.values)
    convolved = inner + 2 * header.number("ssm.group_count") * size
    per_layer = max(0, header.number("ssm.conv_kernel") - 1) * convolved + size * inner
    return 4 * layers * per_layer * sequences


def step_bytes(header: GgufHeader) -> int:
    """Bytes that a step computes with for each of its tokens: at the widest moment of a layer, what enters it and what
    it will add, beside the two halves of its feed-forward or the four parts of its state's mixing."""
    widest = max(2 * header.number("feed_forward_length"), 4 * header.number("ssm.inner_size"))
    return 4 * (4 * header.number("embedding_length") + widest)


def vocabulary_size(header: GgufHeader) -> int:
    """Tokens of the vocabulary, 0 when the header has none."""
    found = header.metadata.get("tokenizer.ggml.tokens")
    return found.length if isinstance(found, Array) else 0
