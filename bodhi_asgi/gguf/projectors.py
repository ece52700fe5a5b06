"""Whether a file is a projector: the part of a model that reads images, in a file of its own (``mmproj``).

Source: ``clip.cpp`` and ``clip-impl.h`` of llama.cpp, which divide by some of these numbers unseen.
"""

from pathlib import Path
from typing import Final

from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid

SIZES: Final = {
    "clip.vision.image_size": 8192,
    "clip.vision.patch_size": 1024,
    "clip.vision.embedding_length": 65_536,
    "clip.vision.attention.head_count": 1024,
    "clip.vision.block_count": 4096,
}
"""Numbers every vision projector has, with the largest that make sense; the least is 1."""


def check_projector(path: Path) -> None:
    """Look at a projector's header. Raises GgufInvalid, and OSError where it cannot be read."""
    header = read_header(path)
    check(header, path.stat().st_size)
    if header.architecture != "clip":
        raise GgufInvalid(f"the file is no projector: its architecture is '{header.architecture}' and not 'clip'")
    if header.metadata.get("clip.has_vision_encoder") is not True:
        raise GgufInvalid("it reads no images ('clip.has_vision_encoder')")
    if not any(isinstance(header.metadata.get(f"clip.{where}projector_type"), str) for where in ("", "vision.")):
        raise GgufInvalid("it does not name its kind ('clip.projector_type')")
    for key, most in SIZES.items():
        _check_number(header, key, most)
    width, heads = _number(header, "clip.vision.embedding_length"), _number(header, "clip.vision.attention.head_count")
    if width % heads:
        raise GgufInvalid(f"its width of {width} does not divide among {heads} heads")
    if _number(header, "clip.vision.patch_size") > _number(header, "clip.vision.image_size"):
        raise GgufInvalid("its patches are larger than its image")


def _check_number(header: GgufHeader, key: str, most: int) -> None:
    if not 1 <= _number(header, key) <= most:
        raise GgufInvalid(f"'{key}' must be a number from 1 to {most}")


def _number(header: GgufHeader, key: str) -> int:
    found = header.metadata.get(key)
    return found if type(found) is int else 0
