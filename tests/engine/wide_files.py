"""Models, adapters and projectors of random numbers, large enough for what they take of memory to be told apart."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import gguf
import numpy as np

from benchmarks.random_model import Shape
from tests.engine.adapter_files import Pair, write_adapter
from tests.engine.projector_files import MEAN

LAYERS: Final = 4
HEADS: Final = 8
WORDS: Final = 4000
PATCH: Final = 16


def write_wide_adapter(target: Path, shape: Shape, rank: int) -> Path:
    """An adapter for every matrix of a model of ``shape`` (:mod:`benchmarks.random_model`)."""
    pairs: dict[str, Pair] = {}
    for layer in range(shape.layers):
        for name, out, into in (
            ("attn_q", shape.width, shape.width),
            ("attn_output", shape.width, shape.width),
            ("ffn_gate", shape.inner, shape.width),
            ("ffn_up", shape.inner, shape.width),
            ("ffn_down", shape.width, shape.inner),
        ):
            pairs[f"blk.{layer}.{name}.weight"] = drawn(rank, into), drawn(out, rank)
    return write_adapter(target, pairs, general__architecture="qwen2")


def write_wide_encoder(target: Path, *, width: int = 512, context: int = 1024) -> Path:
    """A BERT that makes vectors."""
    writer = gguf.GGUFWriter(str(target), "bert")
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(4 * width)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-6)
    writer.add_causal_attention(False)
    writer.add_pooling_type(gguf.PoolingType.MEAN)
    writer.add_tokenizer_model("bert")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    writer.add_token_list([*special, *(f"\u2581w{number}" for number in range(WORDS))])
    writer.add_token_scores([-1000.0] * (len(special) + WORDS))
    control, normal = int(gguf.TokenType.CONTROL), int(gguf.TokenType.NORMAL)
    writer.add_token_types([control] * len(special) + [normal] * WORDS)
    writer.add_token_type_count(1)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_tensor("token_embd.weight", drawn(len(special) + WORDS, width))
    writer.add_tensor("position_embd.weight", drawn(context, width))
    for name, dims in normed("token_embd_norm", width):
        writer.add_tensor(name, drawn(*dims))
    for layer in range(LAYERS):
        for name, dims in (
            *((f"attn_{part}.weight", (width, width)) for part in ("q", "k", "v", "output")),
            *((f"attn_{part}.bias", (width,)) for part in ("q", "k", "v", "output")),
            ("ffn_up.weight", (4 * width, width)),
            ("ffn_down.weight", (width, 4 * width)),
            *normed("attn_output_norm", width),
            *normed("layer_output_norm", width),
        ):
            writer.add_tensor(f"blk.{layer}.{name}", drawn(*dims))
    return closed(writer, target)


def write_wide_projector(target: Path, *, embedding: int, width: int = 768, side: int = 224) -> Path:
    """A projector for models whose embeddings have ``embedding`` numbers: LLaVA's vision part, and its two layers."""
    writer = gguf.GGUFWriter(str(target), "clip")
    writer.add_string("general.type", "mmproj")
    writer.add_string("clip.projector_type", "mlp")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_gelu", True)
    for name, number in {
        "image_size": side, "patch_size": PATCH, "embedding_length": width, "feed_forward_length": 4 * width,
        "projection_dim": embedding, "block_count": LAYERS, "attention.head_count": HEADS,
    }.items():  # fmt: skip
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    writer.add_array("clip.vision.image_mean", [MEAN] * 3)
    writer.add_array("clip.vision.image_std", [MEAN] * 3)
    writer.add_tensor("v.patch_embd.weight", drawn(width, 3, PATCH, PATCH))
    writer.add_tensor("v.position_embd.weight", drawn((side // PATCH) ** 2, width))
    for name, out, into in (("mm.0", embedding, width), ("mm.2", embedding, embedding)):
        writer.add_tensor(f"{name}.weight", drawn(out, into))
        writer.add_tensor(f"{name}.bias", drawn(out))
    for layer in range(LAYERS):
        for name, dims in (
            *((f"attn_{part}.weight", (width, width)) for part in ("q", "k", "v", "out")),
            *((f"attn_{part}.bias", (width,)) for part in ("q", "k", "v", "out")),
            ("ffn_up.weight", (4 * width, width)),
            ("ffn_down.weight", (width, 4 * width)),
            *normed("ln1", width),
            *normed("ln2", width),
        ):
            writer.add_tensor(f"v.blk.{layer}.{name}", drawn(*dims))
    return closed(writer, target)


def normed(name: str, width: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", (width,)
    yield f"{name}.bias", (width,)


def drawn(*dims: int) -> "np.ndarray[tuple[int, ...], np.dtype[np.float32]]":
    return np.random.default_rng(dims).standard_normal(dims, np.float32) * np.float32(0.02)


def closed(writer: gguf.GGUFWriter, target: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
