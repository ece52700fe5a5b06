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

BY_PROMPT: Final = ("hunyuanvl", "deepseek4v")
"""Kinds for which the same image is another one in another place of the prompt."""

MERGING: Final = ("qwen2vl_merger", "qwen2.5vl_merger", "qwen2.5o", "qwen3vl_merger")
MERGED: Final = 2
"""Patches across and down of which these make one place: another number writes beyond what is set aside for two."""

WINDOW: Final = 112
"""Pixels across, where a file does not say."""


def check_projector(path: Path) -> None:
    """Look at a projector's header. Raises GgufInvalid, and OSError where it cannot be read."""
    header = read_header(path)
    check(header, path.stat().st_size)
    if header.architecture != "clip":
        raise GgufInvalid(f"the file is no projector: its architecture is '{header.architecture}' and not 'clip'")
    if header.metadata.get("clip.has_vision_encoder") is not True:
        raise GgufInvalid("it reads no images ('clip.has_vision_encoder')")
    named = (header.metadata.get(f"clip.{where}projector_type") for where in ("", "vision."))
    kinds = [kind for kind in named if isinstance(kind, str)]
    if not kinds:
        raise GgufInvalid("it does not name its kind ('clip.projector_type')")
    for kind in kinds:
        _check_kind(header, kind)
    for key, most in SIZES.items():
        _check_number(header, key, most)
    width, heads = _number(header, "clip.vision.embedding_length"), _number(header, "clip.vision.attention.head_count")
    if width % heads:
        raise GgufInvalid(f"its width of {width} does not divide among {heads} heads")
    if _number(header, "clip.vision.patch_size") > _number(header, "clip.vision.image_size"):
        raise GgufInvalid("its patches are larger than its image")


def _check_kind(header: GgufHeader, kind: str) -> None:
    if kind in BY_PROMPT:
        raise GgufInvalid(f"what it makes of an image depends on what stands before it ('{kind}'): not supported")
    if kind in MERGING:
        merged = _number(header, "clip.vision.spatial_merge_size", MERGED)
        window = _number(header, "clip.vision.window_size", 0) or WINDOW
        if merged != MERGED:
            raise GgufInvalid(f"'clip.vision.spatial_merge_size' must be {MERGED}")
        if _number(header, "clip.vision.n_wa_pattern") and window < MERGED * _number(header, "clip.vision.patch_size"):
            raise GgufInvalid("its windows are smaller than what it makes one place of")


def _check_number(header: GgufHeader, key: str, most: int) -> None:
    if not 1 <= _number(header, key) <= most:
        raise GgufInvalid(f"'{key}' must be a number from 1 to {most}")


def _number(header: GgufHeader, key: str, default: int = 0) -> int:
    found = header.metadata.get(key, default)
    return found if type(found) is int else 0
