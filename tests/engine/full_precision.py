"""The demo model with its weights unpacked to 32 bits.

With Q8_0, llama.cpp rounds activations as well, in blocks that depend on the shape of the batch: logits move by tenths.
Whether a batch mixes up its sequences is seen only where rounding cannot be blamed.
"""

from pathlib import Path

import gguf
import numpy as np


def write_full_precision(source: Path, target: Path) -> Path:
    """Copy ``source`` to ``target`` with all tensors as F32."""
    reader = gguf.GGUFReader(str(source))
    writer = gguf.GGUFWriter(str(target), "llama")
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        inner = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        writer.add_tensor(tensor.name, np.ascontiguousarray(values, dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return target
