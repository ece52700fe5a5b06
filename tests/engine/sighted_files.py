"""Models that see images in two dimensions (M-RoPE), and their projectors, made of the demo model and random numbers.

``qwen2vl`` is the demo model with its rotations laid out as that architecture has them: of text it says the same, token
for token. ``qwen3vl`` has norms for queries and keys besides, and says nothing that makes sense. The projectors are
random: a picture is a different noise for each, as loud as the embeddings of words, which is what it takes to see
whether an answer depends on what stands where.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

import gguf
import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.engine.gguf_files import unpacked
from tests.engine.projector_files import MEAN, picture

Kind: TypeAlias = Literal["qwen2vl", "qwen2.5vl", "qwen3vl"]
Floats = NDArray[np.float32]

HEADS, HEAD = 5, 32
SECTIONS: Final = [6, 5, 5, 0]
"""Of the half of a head's numbers: along the sequence, down, across, and none of the fourth."""

MARKS: Final = ("<|vision_start|>", "<|vision_end|>")
LOUD: Final = 0.6


@dataclass(frozen=True)
class Eye:
    """Sizes of a projector; ``output`` is the width of the model that it is for."""

    width: int = 48
    inner: int = 96
    patch: int = 4
    side: int = 32
    heads: int = 2
    layers: int = 2
    output: int = HEADS * HEAD


SMALL: Final = Eye()


def write_sighted_model(target: Path, kind: Kind = "qwen2vl") -> Path:
    """Write the text model for projectors of this kind, in full precision."""
    architecture = "qwen3vl" if kind == "qwen3vl" else "qwen2vl"
    reader = gguf.GGUFReader(str(DEMO_MODEL_PATH))
    writer = gguf.GGUFWriter(str(target), architecture)
    for field in reader.fields.values():
        name = field.name
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", "llama.vocab_size"):
            continue
        value, types = field.contents(), field.types
        if name == "tokenizer.ggml.tokens":
            value = [*value, *MARKS]
        elif name == "tokenizer.ggml.token_type":
            value = [*value, *[int(gguf.TokenType.CONTROL)] * len(MARKS)]
        inner = types[-1] if types[0] == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name.replace("llama.", f"{architecture}."), value, types[0], sub_type=inner)
    writer.add_rope_dimension_sections(SECTIONS)
    if architecture == "qwen3vl":
        writer.add_uint32("qwen3vl.n_deepstack_layers", 1)
    for one in reader.tensors:
        values = unpacked(one)
        if one.name == "token_embd.weight":
            values = np.vstack([values, noise("marks", len(MARKS), values.shape[1]) * values.std()])
        elif one.name.endswith(("attn_q.weight", "attn_k.weight")):
            values = _halved(values)
        writer.add_tensor(one.name, values)
    for layer in range(6) if architecture == "qwen3vl" else ():
        writer.add_tensor(f"blk.{layer}.attn_q_norm.weight", np.full(HEAD, 2, np.float32))
        writer.add_tensor(f"blk.{layer}.attn_k_norm.weight", np.full(HEAD, 2, np.float32))
    return _closed(writer, target)


def _halved(values: Floats) -> Floats:
    """Rows of pairs that are rotated together, from one beside the other to one half of a head beside the other."""
    heads = values.reshape(HEADS, HEAD // 2, 2, -1)
    return np.ascontiguousarray(heads.transpose(0, 2, 1, 3).reshape(values.shape))


def write_sighted_projector(target: Path, kind: Kind = "qwen2vl", eye: Eye = SMALL, **keys: int) -> Path:
    """Write the projector. ``keys`` take the place of what its header says, with dots written as ``__``."""
    writer = gguf.GGUFWriter(str(target), "clip")
    writer.add_string("general.type", "mmproj")
    writer.add_string("clip.projector_type", f"{kind}_merger")
    writer.add_bool("clip.has_vision_encoder", True)
    writer.add_bool("clip.use_silu", kind == "qwen2.5vl")
    writer.add_bool("clip.use_gelu", kind != "qwen2.5vl")
    numbers = {
        "image_size": eye.side, "patch_size": eye.patch, "embedding_length": eye.width,
        "feed_forward_length": eye.inner, "projection_dim": eye.output, "block_count": eye.layers,
        "attention.head_count": eye.heads, "spatial_merge_size": 2,
    }  # fmt: skip
    if kind == "qwen2.5vl":
        numbers |= {"n_wa_pattern": 2, "window_size": 4 * eye.patch}
    for name, number in (numbers | {name.replace("__", "."): number for name, number in keys.items()}).items():
        writer.add_uint32(f"clip.vision.{name}", number)
    writer.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    writer.add_array("clip.vision.image_mean", [MEAN] * 3)
    writer.add_array("clip.vision.image_std", [MEAN] * 3)
    for name, dims in _tensors(kind, eye):
        writer.add_tensor(name, _values(name, dims))
    return _closed(writer, target)


def _tensors(kind: Kind, eye: Eye) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes, rows first; as ``clip.cpp`` of llama.cpp looks for them."""
    width, inner = eye.width, eye.inner
    yield "v.patch_embd.weight", (width, 3, eye.patch, eye.patch)
    yield "v.patch_embd.weight.1", (width, 3, eye.patch, eye.patch)
    if kind == "qwen3vl":
        yield "v.patch_embd.bias", (width,)
        yield "v.position_embd.weight", ((eye.side // eye.patch) ** 2, width)
    yield "v.post_ln.weight", (width,)
    for layer in range(eye.layers):
        block = f"v.blk.{layer}."
        parts = ("qkv",) if kind == "qwen3vl" else ("q", "k", "v")
        for part in parts:
            yield f"{block}attn_{part}.weight", (width * (4 - len(parts) if len(parts) == 1 else 1), width)
            yield f"{block}attn_{part}.bias", (width * (4 - len(parts) if len(parts) == 1 else 1),)
        yield f"{block}attn_out.weight", (width, width)
        yield f"{block}ffn_up.weight", (inner, width)
        yield f"{block}ffn_down.weight", (width, inner)
        if kind == "qwen2.5vl":
            yield f"{block}ffn_gate.weight", (inner, width)
        yield f"{block}ln1.weight", (width,)
        yield f"{block}ln2.weight", (width,)
    for name in ("mm", "v.deepstack.0") if kind == "qwen3vl" else ("mm",):
        first, second = ("mm.0", "mm.2") if name == "mm" else (f"{name}.fc1", f"{name}.fc2")
        yield f"{first}.weight", (4 * width, 4 * width)
        yield f"{first}.bias", (4 * width,)
        yield f"{second}.weight", (eye.output, 4 * width)
        yield f"{second}.bias", (eye.output,)
    if kind == "qwen3vl":
        yield "v.deepstack.0.norm.weight", (4 * width,)
        yield "v.deepstack.0.norm.bias", (4 * width,)


def _values(name: str, dims: tuple[int, ...]) -> Floats:
    if name.endswith(("ln.weight", "ln1.weight", "ln2.weight", "norm.weight")):
        return np.ones(dims, np.float32)
    if name.endswith("bias"):
        return np.zeros(dims, np.float32)
    return noise(name, *dims) * np.float32(LOUD * 2 / np.sqrt(np.prod(dims[1:])))


def noise(name: str, *dims: int) -> Floats:
    """Numbers of a normal distribution, the same for the same name."""
    return np.random.default_rng(list(name.encode())).standard_normal(dims, np.float32)


def scene(width: int, height: int, seed: int) -> NDArray[np.uint8]:
    """Pixels of a picture of any size: shapes of different colours side by side."""
    names = [("red", "ball"), ("blue", "box"), ("green", "cross"), ("yellow", "ball")]
    tile = np.hstack([picture(*names[(seed + at) % len(names)], seed=seed + at) for at in range(2)])
    rows, columns = -(-height // tile.shape[0]), -(-width // tile.shape[1])
    return np.ascontiguousarray(np.tile(tile, (rows, columns, 1))[:height, :width])


def _closed(writer: gguf.GGUFWriter, target: Path) -> Path:
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
