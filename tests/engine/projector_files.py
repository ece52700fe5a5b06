"""A projector for the demo model that names coloured shapes, fitted in closed form, and pictures to show it.

The picture is cut into four patches, and the projector turns each into one token of the name: a colour, a space, and
the two tokens of a shape. "Repeat after me: " and a picture then have the demo model say what is to be seen. The vision
part is LLaVA's with no layer in use: the colours of 8 by 8 fields of a patch, and which patch it is. Behind it stands
LLaVA's projector of two layers: the first is random, the second a ridge regression onto the embeddings of the tokens.
"""

import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Final

import gguf
import numpy as np
from numpy.typing import NDArray

from tests.engine.adapter_files import embedding, vocabulary

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]

COLOURS: Final = {"red": (220, 40, 40), "green": (40, 180, 60), "blue": (50, 70, 220), "yellow": (235, 215, 50)}
SHAPES: Final = {"ball": ("b", "all"), "box": ("bo", "x"), "cross": ("cros", "s")}
SIDE, PATCH, POOL, FIELDS = 32, 16, 2, 8
WIDTH, HIDDEN = 256, 512
MEAN, DEVIATION = 0.5, 0.5
PICTURES, RIDGE = 1000, 1e-2
SPACE: Final = "\u0120"


def picture(colour: str, shape: str, size: int = SIDE, seed: int | None = None) -> Pixels:
    """A shape on white, as RGB; with a seed its colour, size and place are a little off."""
    rng = np.random.default_rng(seed)
    off = (lambda by: 0.0) if seed is None else (lambda by: float(rng.uniform(-by, by)))
    across, down = np.meshgrid(np.linspace(-1, 1, size), np.linspace(-1, 1, size))
    x, y = np.abs(across - off(0.08)), np.abs(down - off(0.08))
    reach = 0.75 + off(0.1)
    inside = {
        "ball": np.hypot(x, y) < reach,
        "box": np.maximum(x, y) < reach,
        "cross": (np.maximum(x, y) < reach) & (np.minimum(x, y) < 0.22),
    }[shape]
    pixels = np.full((size, size, 3), 255, np.uint8)
    pixels[inside] = np.clip([value + off(15) for value in COLOURS[colour]], 0, 255).astype(np.uint8)
    return pixels


def png(pixels: Pixels) -> bytes:
    """A PNG file."""
    height, width, _ = pixels.shape
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


@cache
def weights() -> dict[str, Floats]:
    """Everything the projector's file holds; the same wherever numpy is."""
    rng = np.random.default_rng(11)
    pooling = np.zeros((WIDTH, 3, PATCH, PATCH), np.float32)
    for index, (channel, row, column) in enumerate(np.ndindex(3, FIELDS, FIELDS)):
        pooling[index, channel, POOL * row : POOL * (row + 1), POOL * column : POOL * (column + 1)] = 1 / POOL**2
    place = np.zeros((4, WIDTH), np.float32)
    for patch in range(4):
        place[patch, 3 * FIELDS * FIELDS + patch] = 4
    first = rng.normal(0, 0.12, (HIDDEN, WIDTH)).astype(np.float32)
    first_bias = rng.normal(0, 0.3, HIDDEN).astype(np.float32)
    seen, wanted = [], []
    for number in range(PICTURES):
        colour, shape = rng.choice(list(COLOURS)), rng.choice(list(SHAPES))
        seen.append(_features(picture(colour, shape, seed=number), pooling, place))
        wanted.append(_name(colour, shape))
    hidden = np.hstack([_gelu(np.concatenate(seen) @ first.T + first_bias), np.ones((4 * PICTURES, 1), np.float32)])
    normal = hidden.T @ hidden + RIDGE * np.eye(HIDDEN + 1, dtype=np.float32)
    second = np.linalg.solve(normal, hidden.T @ np.concatenate(wanted)).astype(np.float32)
    return {
        "v.patch_embd.weight": pooling,
        "v.position_embd.weight": place,
        "mm.0.weight": first,
        "mm.0.bias": first_bias,
        "mm.2.weight": np.ascontiguousarray(second[:HIDDEN].T),
        "mm.2.bias": second[HIDDEN],
        # A layer that llama.cpp wants to find and, as with every LLaVA, leaves out: it is the last.
        "v.blk.0.attn_out.weight": np.zeros((WIDTH, WIDTH), np.float32),
        "v.blk.0.ffn_up.weight": np.zeros((WIDTH, WIDTH), np.float32),
        "v.blk.0.ffn_down.weight": np.zeros((WIDTH, WIDTH), np.float32),
    }


def _features(pixels: Pixels, pooling: Floats, place: Floats) -> Floats:
    """What the vision part makes of a picture: four rows."""
    values = ((pixels.astype(np.float32) / 255 - MEAN) / DEVIATION).transpose(2, 0, 1)
    cut = values.reshape(3, 2, PATCH, 2, PATCH).transpose(1, 3, 0, 2, 4).reshape(4, -1)
    features: Floats = cut @ pooling.reshape(WIDTH, -1).T + place
    return features


def _gelu(values: Floats) -> Floats:
    return 0.5 * values * (1 + np.tanh(np.sqrt(2 / np.pi) * (values + 0.044715 * values**3)))


def _name(colour: str, shape: str) -> Floats:
    rows, tokens = embedding(), vocabulary()
    named: Floats = rows[[tokens.index(token) for token in (colour, SPACE, *SHAPES[shape])]]
    return named


def write_projector(target: Path, *, width: int | None = None, **keys: object) -> Path:
    """Write the projector. ``width`` is that of another model; ``keys`` take the place of what its header says."""
    writer = gguf.GGUFWriter(str(target), "clip")
    said: dict[str, object] = {
        "general.type": "mmproj", "clip.projector_type": "mlp", "clip.has_vision_encoder": True, "clip.use_gelu": True,
        "clip.vision.image_size": SIDE, "clip.vision.patch_size": PATCH, "clip.vision.embedding_length": WIDTH,
        "clip.vision.feed_forward_length": WIDTH, "clip.vision.projection_dim": 160, "clip.vision.block_count": 1,
        "clip.vision.attention.head_count": 4, "clip.vision.attention.layer_norm_epsilon": 1e-5,
        "clip.vision.image_mean": [MEAN] * 3, "clip.vision.image_std": [DEVIATION] * 3,
    } | {name.replace("__", "."): value for name, value in keys.items()}  # fmt: skip
    for name, value in said.items():
        match value:
            case bool():
                writer.add_bool(name, value)
            case int():
                writer.add_uint32(name, value)
            case float():
                writer.add_float32(name, value)
            case str():
                writer.add_string(name, value)
            case list():
                writer.add_array(name, value)
    for name, values in weights().items():
        if width is not None and name.startswith("mm.2."):
            values = np.zeros((width, *values.shape[1:]), np.float32)
        writer.add_tensor(name, np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
