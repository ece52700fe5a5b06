"""A look at a model file before llama.cpp maps it: a file that ends too early would end the process with SIGBUS.

Format: GGUF versions 2 and 3, https://github.com/ggml-org/ggml/blob/master/docs/gguf.md (magic, version, tensor count,
key-value count). The whole header is read by the models family when files are listed; this is the engine's own guard.
"""

import struct
from pathlib import Path
from typing import Final

from bodhi_asgi.engine.errors import ModelLoadFailed

MAGIC: Final = b"GGUF"
HEAD: Final = struct.Struct("<4sIQQ")
VERSIONS: Final = (2, 3)
MAX_COUNT: Final = 65_535
LEAST_BYTES_PER_TENSOR: Final = 32


def check_file(path: str) -> Path:
    """The file, if it can be a model. Raises ModelLoadFailed saying what it is instead."""
    file = Path(path)
    try:
        size = file.stat().st_size
        with file.open("rb") as opened:
            head = opened.read(HEAD.size)
    except OSError as error:
        raise ModelLoadFailed(f"the model file '{path}' cannot be read: {error.strerror}") from None
    if len(head) < HEAD.size or head[:4] != MAGIC:
        raise ModelLoadFailed(f"the file '{path}' is no GGUF model")
    _, version, tensors, pairs = HEAD.unpack(head)
    if version not in VERSIONS:
        raise ModelLoadFailed(f"the model file '{path}' is GGUF version {version}; 2 and 3 can be read")
    if tensors > MAX_COUNT or pairs > MAX_COUNT:
        raise ModelLoadFailed(f"the model file '{path}' is corrupt: its counts are impossible")
    if size < tensors * LEAST_BYTES_PER_TENSOR + HEAD.size:
        raise ModelLoadFailed(f"the model file '{path}' is truncated")
    return file
