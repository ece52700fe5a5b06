"""Makes an encoder of MiniLM's shape with random weights: it costs what the usual embedding model costs.

Its vocabulary has whole words that the benchmark's texts are made of, and otherwise fills up with numbers.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from gguf import GGUFWriter, TokenType

from benchmarks.random_model import CACHE

SPECIAL: Final = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
PHANTOM: Final = "\u2581"
SEED: Final = 21
DEVIATION: Final = 0.05


@dataclass(frozen=True, slots=True)
class EncoderShape:
    """The sizes that decide what a token costs; those of all-MiniLM-L6-v2."""

    layers: int = 6
    width: int = 384
    inner: int = 1536
    heads: int = 12
    vocabulary: int = 30_522
    context: int = 512


MINILM: Final = EncoderShape()


def random_encoder(words: tuple[str, ...], shape: EncoderShape = MINILM) -> Path:
    """The model's file in the cache, made when it is not there."""
    path = CACHE / f"random-encoder-{shape.layers}x{shape.width}-{len(words)}.gguf"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        scratch = path.with_suffix(f".{os.getpid()}")
        write(scratch, words, shape)
        scratch.replace(path)
    return path


def write(target: Path, words: tuple[str, ...], shape: EncoderShape) -> None:
    """Write the model in 32-bit floats."""
    writer = GGUFWriter(target, "bert")
    writer.add_context_length(shape.context)
    writer.add_embedding_length(shape.width)
    writer.add_block_count(shape.layers)
    writer.add_feed_forward_length(shape.inner)
    writer.add_head_count(shape.heads)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)
    writer.add_uint32("bert.pooling_type", 1)
    tokens = [*SPECIAL, *(PHANTOM + word for word in words)]
    tokens += [f"{PHANTOM}{number}" for number in range(shape.vocabulary - len(tokens))]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    kinds = [TokenType.CONTROL] * len(SPECIAL) + [TokenType.NORMAL] * (len(tokens) - len(SPECIAL))
    writer.add_token_types([int(kind) for kind in kinds])
    writer.add_token_type_count(1)
    writer.add_bos_token_id(2)
    writer.add_eos_token_id(3)
    writer.add_sep_token_id(3)
    writer.add_unk_token_id(1)
    writer.add_pad_token_id(0)
    random = np.random.default_rng(SEED)
    for name, size in _tensors(shape):
        writer.add_tensor(name, _values(random, name, size))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _tensors(shape: EncoderShape) -> list[tuple[str, tuple[int, ...]]]:
    width, inner = shape.width, shape.inner
    found: list[tuple[str, tuple[int, ...]]] = [
        ("token_embd.weight", (shape.vocabulary, width)),
        ("position_embd.weight", (shape.context, width)),
        ("token_embd_norm.weight", (width,)),
        ("token_embd_norm.bias", (width,)),
    ]
    for number in range(shape.layers):
        layer = f"blk.{number}."
        found += [(f"{layer}attn_{part}.weight", (width, width)) for part in ("q", "k", "v", "output")]
        found += [(f"{layer}attn_{part}.bias", (width,)) for part in ("q", "k", "v", "output")]
        found += [(f"{layer}{norm}_norm.{part}", (width,)) for norm in ("attn_output", "layer_output")
                  for part in ("weight", "bias")]  # fmt: skip
        found += [(f"{layer}ffn_up.weight", (inner, width)), (f"{layer}ffn_up.bias", (inner,))]
        found += [(f"{layer}ffn_down.weight", (width, inner)), (f"{layer}ffn_down.bias", (width,))]
    return found


def _values(random: np.random.Generator, name: str, size: tuple[int, ...]) -> Any:
    if name.endswith("norm.weight"):
        return np.ones(size, np.float32)
    if name.endswith("bias"):
        return np.zeros(size, np.float32)
    return random.normal(scale=DEVIATION, size=size).astype(np.float32)
