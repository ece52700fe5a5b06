"""Variants of the demo model: full precision for exact sums, and files that contradict themselves."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gguf
import numpy as np
from numpy.typing import NDArray


def rewrite(
    source: Path,
    target: Path,
    *,
    keys: Mapping[str, Callable[[Any], Any]] | None = None,
    tensor: Callable[[gguf.ReaderTensor], NDArray[np.float32]] | None = None,
    more: Mapping[str, NDArray[np.float32]] | None = None,
    said: Mapping[str, int | bool] | None = None,
    but: Callable[[str], bool] = lambda _: False,
) -> Path:
    """Copy a model, putting each value under ``keys`` through its function; None leaves the key out.

    ``tensor`` gives a tensor's new values; without it all are copied as they are. ``more`` tensors are
    added, those whose name ``but`` is true for are left out, and ``said`` is said of it besides.
    """
    reader = gguf.GGUFReader(str(source))
    writer = gguf.GGUFWriter(str(target), reader.fields["general.architecture"].contents())
    changes = dict(keys or {})
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        value = changes.get(field.name, lambda value: value)(field.contents())
        if value is not None:
            kind = field.types[0]
            inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, value, kind, sub_type=inner)
    for name, fact in (said or {}).items():
        (writer.add_bool if isinstance(fact, bool) else writer.add_uint32)(name, fact)
    for one in reader.tensors:
        if but(one.name):
            continue
        if tensor is None:
            writer.add_tensor(one.name, one.data, raw_dtype=one.tensor_type)
        else:
            writer.add_tensor(one.name, tensor(one))
    for name, values in (more or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target


INFILL = {"pre": 400, "suf": 401, "mid": 402}
"""Tokens of the demo model that stand for the marks around a gap; any will do."""


def write_infill(source: Path, target: Path) -> Path:
    """Copy ``source`` to ``target`` with marks for filling in text in its vocabulary."""
    return rewrite(
        source, target, said={f"tokenizer.ggml.fim_{name}_token_id": token for name, token in INFILL.items()}
    )


def write_full_precision(source: Path, target: Path) -> Path:
    """Copy ``source`` to ``target`` with all tensors as F32.

    With Q8_0, llama.cpp rounds activations as well, in blocks that depend on the shape of the batch: logits move by
    tenths. Whether a batch mixes up its sequences is seen only where rounding cannot be blamed.
    """
    return rewrite(source, target, tensor=unpacked)


def unpacked(one: gguf.ReaderTensor) -> NDArray[np.float32]:
    """A tensor's values in full precision."""
    return np.ascontiguousarray(gguf.quants.dequantize(one.data, one.tensor_type), dtype=np.float32)
