"""Models of random weights with another memory than a plain cache: a state (Mamba), both (Jamba), a window (Gemma 3).

They say nothing that makes sense and always the same, which is all it takes to see whether reuse changes an answer.
Tensors as llama.cpp's loaders of these architectures name and shape them.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal, TypeAlias

import gguf
import numpy as np
from numpy.typing import NDArray

from benchmarks.random_model import CONTROL, TEMPLATE, vocabulary

Kind: TypeAlias = Literal["mamba", "jamba", "gemma3"]

SEED: Final = 5
LAYERS: Final = 4
WIDTH: Final = 64
INNER: Final = 2 * WIDTH
STATE: Final = 8
RANK: Final = 4
CONV: Final = 4
HEADS: Final = 2
FORWARD: Final = 96
TOKENS: Final = 1024
WINDOW: Final = 32


def write_memory_model(path: Path, kind: Kind) -> Path:
    """Write a model of this kind. The same file every time."""
    writer = gguf.GGUFWriter(str(path), kind)
    tokens, types, joined = vocabulary(TOKENS)
    writer.add_name(f"random {kind}")
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(FORWARD if kind != "mamba" else 0)
    writer.add_layer_norm_rms_eps(1e-6)
    if kind == "gemma3":
        writer.add_head_count(HEADS)
        writer.add_head_count_kv(HEADS)
        writer.add_key_length(WIDTH // HEADS)
        writer.add_value_length(WIDTH // HEADS)
        writer.add_sliding_window(WINDOW)
    else:
        writer.add_ssm_conv_kernel(CONV)
        writer.add_ssm_inner_size(INNER)
        writer.add_ssm_state_size(STATE)
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
    for index, (name, dims) in enumerate(tensors(kind)):
        writer.add_tensor(name, values(index, name, dims))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def attends(kind: Kind, layer: int) -> bool:
    """Whether a layer attends to what was read instead of keeping a state of it."""
    return kind == "gemma3" or (kind == "jamba" and layer % 2 == 1)


def tensors(kind: Kind) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes, rows first as numpy has them."""
    yield "token_embd.weight", (TOKENS, WIDTH)
    yield "output.weight", (TOKENS, WIDTH)
    yield "output_norm.weight", (WIDTH,)
    for layer in range(LAYERS):
        block = f"blk.{layer}."
        yield f"{block}attn_norm.weight", (WIDTH,)
        yield from ((block + name, dims) for name, dims in (ATTENTION if attends(kind, layer) else MIXER))
        if kind == "gemma3":
            yield from ((block + name, dims) for name, dims in GEMMA)
        if kind == "jamba" and not attends(kind, layer):
            yield from ((block + name, dims) for name, dims in MIXER_NORMS)
        if kind != "mamba":
            yield from ((block + name, dims) for name, dims in FEED_FORWARD)


ATTENTION: Final = tuple((f"attn_{name}.weight", (WIDTH, WIDTH)) for name in ("q", "k", "v", "output"))
MIXER: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("ssm_in.weight", (2 * INNER, WIDTH)),
    ("ssm_conv1d.weight", (INNER, CONV)),
    ("ssm_conv1d.bias", (INNER,)),
    ("ssm_x.weight", (RANK + 2 * STATE, INNER)),
    ("ssm_dt.weight", (INNER, RANK)),
    ("ssm_dt.bias", (INNER,)),
    ("ssm_a", (INNER, STATE)),
    ("ssm_d", (INNER,)),
    ("ssm_out.weight", (WIDTH, INNER)),
)
MIXER_NORMS: Final = (("ssm_dt_norm.weight", (RANK,)), ("ssm_b_norm.weight", (STATE,)), ("ssm_c_norm.weight", (STATE,)))
GEMMA: Final = (
    ("post_attention_norm.weight", (WIDTH,)),
    ("attn_k_norm.weight", (WIDTH // HEADS,)),
    ("attn_q_norm.weight", (WIDTH // HEADS,)),
    ("post_ffw_norm.weight", (WIDTH,)),
)
FEED_FORWARD: Final[tuple[tuple[str, tuple[int, ...]], ...]] = (
    ("ffn_norm.weight", (WIDTH,)),
    ("ffn_gate.weight", (FORWARD, WIDTH)),
    ("ffn_up.weight", (FORWARD, WIDTH)),
    ("ffn_down.weight", (WIDTH, FORWARD)),
)


def values(index: int, name: str, dims: tuple[int, ...]) -> NDArray[np.float32]:
    """Ones for norms, a decay of the state that remembers far, a seeded normal distribution for the rest."""
    if name.endswith("norm.weight"):
        return np.ones(dims, np.float32)
    if name.endswith("ssm_a"):
        return -np.tile(np.arange(1, STATE + 1, dtype=np.float32) / 100, (INNER, 1))
    drawn = np.random.default_rng([SEED, index]).standard_normal(dims, np.float32)
    return drawn * np.float32(1.0 if "bias" in name else 1.5 / np.sqrt(dims[-1]))
