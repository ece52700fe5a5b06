"""Models of random weights with another memory than a plain cache: a state (Mamba), both (Jamba), a window (Gemma 3).

They say nothing that makes sense and always the same, which is all it takes to see whether reuse changes an answer.
Tensors as llama.cpp's loaders of these architectures name and shape them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import gguf
import numpy as np
from numpy.typing import NDArray

from benchmarks.random_model import CONTROL, TEMPLATE, vocabulary

Kind: TypeAlias = Literal["mamba", "jamba", "gemma3"]

SEED: Final = 5
LAYERS: Final = 4
RANK: Final = 4
CONV: Final = 4
HEADS: Final = 2
TOKENS: Final = 1024
WINDOW: Final = 32

Dims: TypeAlias = tuple[int, ...]


@dataclass(frozen=True)
class Sizes:
    """How wide a model is, and how many numbers each of its inner channels remembers."""

    width: int = 64
    state: int = 8

    @property
    def inner(self) -> int:
        return 2 * self.width

    @property
    def forward(self) -> int:
        return self.width * 3 // 2


def write_memory_model(path: Path, kind: Kind, sizes: Sizes = Sizes()) -> Path:
    """Write a model of this kind. The same file every time."""
    writer = gguf.GGUFWriter(str(path), kind)
    tokens, types, joined = vocabulary(TOKENS)
    writer.add_name(f"random {kind}")
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(sizes.width)
    writer.add_feed_forward_length(sizes.forward if kind != "mamba" else 0)
    writer.add_layer_norm_rms_eps(1e-6)
    if kind == "gemma3":
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(HEADS)
        writer.add_key_length(sizes.width // HEADS)
        writer.add_value_length(sizes.width // HEADS)
        writer.add_sliding_window(WINDOW)
    else:
        writer.add_ssm_conv_kernel(CONV)
        writer.add_ssm_inner_size(sizes.inner)
        writer.add_ssm_state_size(sizes.state)
        writer.add_ssm_time_step_rank(RANK)
        writer.add_head_count(HEADS if kind == "jamba" else 0)
        writer.add_head_count_kv([HEADS if attends(kind, layer) else 0 for layer in range(LAYERS)])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    writer.add_token_merges(joined)
    writer.add_eos_token_id(tokens.index(CONTROL[-1]))
    writer.add_add_bos_token(False)
    writer.add_chat_template(TEMPLATE)
    for index, (name, dims) in enumerate(tensors(kind, sizes)):
        writer.add_tensor(name, values(index, name, dims))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def attends(kind: Kind, layer: int) -> bool:
    """Whether a layer attends to what was read instead of keeping a state of it."""
    return kind == "gemma3" or (kind == "jamba" and layer % 2 == 1)


def tensors(kind: Kind, sizes: Sizes) -> Iterator[tuple[str, Dims]]:
    """Names and shapes, rows first as numpy has them."""
    width, forward = sizes.width, sizes.forward
    yield "token_embd.weight", (TOKENS, width)
    yield "output.weight", (TOKENS, width)
    yield "output_norm.weight", (width,)
    for layer in range(LAYERS):
        yield from ((f"blk.{layer}.{name}", dims) for name, dims in block(kind, sizes, attends=attends(kind, layer)))
        if kind != "mamba":
            yield f"blk.{layer}.ffn_norm.weight", (width,)
            yield f"blk.{layer}.ffn_gate.weight", (forward, width)
            yield f"blk.{layer}.ffn_up.weight", (forward, width)
            yield f"blk.{layer}.ffn_down.weight", (width, forward)


def block(kind: Kind, sizes: Sizes, *, attends: bool) -> Iterator[tuple[str, Dims]]:
    """What a layer has for looking back."""
    width, inner, state = sizes.width, sizes.inner, sizes.state
    yield "attn_norm.weight", (width,)
    if attends:
        yield from ((f"attn_{name}.weight", (width, width)) for name in ("q", "k", "v", "output"))
    else:
        yield "ssm_in.weight", (2 * inner, width)
        yield "ssm_conv1d.weight", (inner, CONV)
        yield "ssm_conv1d.bias", (inner,)
        yield "ssm_x.weight", (RANK + 2 * state, inner)
        yield "ssm_dt.weight", (inner, RANK)
        yield "ssm_dt.bias", (inner,)
        yield "ssm_a", (inner, state)
        yield "ssm_d", (inner,)
        yield "ssm_out.weight", (width, inner)
    if kind == "gemma3":
        yield "post_attention_norm.weight", (width,)
        yield "attn_k_norm.weight", (width // HEADS,)
        yield "attn_q_norm.weight", (width // HEADS,)
        yield "post_ffw_norm.weight", (width,)
    if kind == "jamba" and not attends:
        yield "ssm_dt_norm.weight", (RANK,)
        yield "ssm_b_norm.weight", (state,)
        yield "ssm_c_norm.weight", (state,)


def values(index: int, name: str, dims: Dims) -> NDArray[np.float32]:
    """Ones for norms, a decay of the state that remembers far, a seeded normal distribution for the rest."""
    if name.endswith("norm.weight"):
        return np.ones(dims, np.float32)
    if name.endswith("ssm_a"):
        return -np.tile(np.arange(1, dims[1] + 1, dtype=np.float32) / 100, (dims[0], 1))
    drawn = np.random.default_rng([SEED, index]).standard_normal(dims, np.float32)
    return drawn * np.float32(1.0 if "bias" in name else 1.5 / np.sqrt(dims[-1]))
