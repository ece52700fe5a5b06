"""LoRA adapters for the demo model, written by hand: one says another token than the model would, one confuses it.

The demo model's output is its embedding, and an adapter for one tensor that serves as both cannot be. So the model of
these tests is a copy in which the output stands apart.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from tests.engine.gguf_files import rewrite, unpacked

Pair = tuple[NDArray[np.float32], NDArray[np.float32]]
"""A (rank by input) and B (output by rank): the adapter adds ``scale · B A``."""


def write_untied(target: Path) -> Path:
    """The demo model in full precision, with its output as a tensor of its own."""
    return rewrite(DEMO_MODEL_PATH, target, tensor=unpacked, more={"output.weight": embedding()})


@cache
def embedding() -> NDArray[np.float32]:
    reader = gguf.GGUFReader(str(DEMO_MODEL_PATH))
    return next(unpacked(one) for one in reader.tensors if one.name == "token_embd.weight")


@cache
def vocabulary() -> list[str]:
    field = gguf.GGUFReader(str(DEMO_MODEL_PATH)).get_field("tokenizer.ggml.tokens")
    assert field is not None
    tokens: list[str] = field.contents()
    return tokens


def write_adapter(target: Path, pairs: Mapping[str, Pair], **keys: Any) -> Path:
    """Write an adapter; ``keys`` take the place of what its header says, with dots written as ``__``."""
    said = {"general.architecture": "llama", "general.type": "adapter", "adapter.type": "lora"}
    said |= {"adapter.lora.alpha": 0.0} | {name.replace("__", "."): value for name, value in keys.items()}
    writer = gguf.GGUFWriter(str(target), str(said.pop("general.architecture")))
    for name, value in said.items():
        if isinstance(value, float):
            writer.add_float32(name, value)
        elif isinstance(value, list):
            writer.add_array(name, value)
        elif value is not None:
            writer.add_string(name, value)
    for name, (a, b) in pairs.items():
        writer.add_tensor(f"{name}.lora_a", np.ascontiguousarray(a, dtype=np.float32))
        writer.add_tensor(f"{name}.lora_b", np.ascontiguousarray(b, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


def write_swap(target: Path, one: str = ".", other: str = "!") -> Path:
    """An adapter of rank 1 for the model of :func:`write_untied`: it says ``other`` for ``one``, and the reverse."""
    rows, tokens = embedding(), vocabulary()
    first, second = tokens.index(one), tokens.index(other)
    a = (rows[second] - rows[first])[np.newaxis, :]
    b = np.zeros((len(tokens), 1), np.float32)
    b[first], b[second] = 1, -1
    return write_adapter(target, {"output.weight": (a, b)})


def write_confusion(target: Path, seed: int = 1) -> Path:
    """An adapter of rank 4 that changes what every layer remembers: the answers are others, and so are the cells."""
    rng = np.random.default_rng(seed)
    pairs: dict[str, Pair] = {}
    for layer in range(6):
        a, b = rng.normal(0, 0.3, (4, 160)), rng.normal(0, 0.3, (160, 4))
        pairs[f"blk.{layer}.attn_v.weight"] = (a.astype(np.float32), b.astype(np.float32))
    return write_adapter(target, pairs)
