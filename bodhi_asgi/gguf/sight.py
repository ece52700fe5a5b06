"""What a projector takes to look at a picture, by its header: into how many patches it cuts one, and what that costs.

The sizes are those of llama.cpp's graphs: ``clip.cpp`` and ``models/*.cpp`` of libmtmd say what a picture is brought to
and which tensors a layer has at once, and ``ggml-alloc.c`` which of them share their memory.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from bodhi_asgi.gguf.types import TENSOR_TYPES, GgufHeader, Tensor

FLOAT: Final = 4
PIXEL: Final = 3 * FLOAT
"""Bytes of a pixel that was brought to the model's size: three colours, in 32 bits each."""


CONTEXTS: Final = 4
RESTING_BYTES: Final = 256 * 1024 * 1024


class Reach(NamedTuple):
    """How many places a picture takes at most, however large it is, and how many patches across make one of them."""

    places: int
    merged: int


REACHES: Final = {
    "gemma4uv": Reach(1120, 3),
    "gemma4v": Reach(1120, 3),
    "glm4v": Reach(4096, 2),
    "kimik25": Reach(4096, 2),
    "kimivl": Reach(1024, 2),
    "lfm2": Reach(256, 2),
    "ling3vl": Reach(4096, 2),
    "minimax_m3": Reach(576, 2),
    "muse-glimmer": Reach(4096, 2),
    "pixtral": Reach(1024, 1),
    "qwen2.5o": Reach(4096, 2),
    "qwen2.5vl_merger": Reach(4096, 2),
    "qwen2vl_merger": Reach(4096, 2),
    "qwen3vl_merger": Reach(4096, 2),
    "youtuvl": Reach(62_500, 2),
}
"""Of the kinds that look at a picture in its own proportions: ``set_limit_image_tokens`` of ``clip.cpp``."""

BY_PIXELS: Final = {
    "dots3note_v": 2,
    "dots_ocr": 2,
    "exaone4_5": 2,
    "glm5v": 2,
    "kimik25": 2,
    "mimovl": 2,
    "paddleocr": 2,
    "phi4": 1,
}
"""Kinds whose files say how many pixels they bring a picture to, and how many patches across make a place."""

BY_EDGE: Final = {"lightonocr": 1}
"""Kinds whose files say how long the longer side becomes."""

IN_ROWS: Final = ("pixtral",)
"""Kinds that put a mark between the rows of patches, by copying all of them."""

IN_WINDOWS: Final = ("qwen2.5vl_merger", "qwen2.5o", "exaone4_5")
"""Kinds with a mask for each pair of patches, in layers whose patches see those of their window only."""

PACKED: Final = {"F32": 0.0, "F16": 2.0, "BF16": 2.0}
"""Bytes of a number as a layer multiplies it with weights of these types."""

PACKED_IN_BLOCKS: Final = 1.15
"""The same for weights in fewer bits: eight of each, and what scales a block."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Sizes of one projector. ``side`` and ``patch`` in pixels; ``merged`` patches across make a place.

    ``most_patches`` are those of the largest picture: more than those of a picture of ``side`` where pictures keep
    their proportions (``is_free``). ``width`` and ``inner`` are the numbers of a patch, outside and inside of a layer's
    feed-forward, ``projected`` those of a place, of which ``copies`` are there at once in the end, and ``output`` the
    same with what layers hand past.
    """

    side: int
    patch: int
    merged: int
    most_patches: int
    is_free: bool
    width: int
    inner: int
    projected: int
    output: int
    copies: int
    is_fused: bool
    is_gated: bool
    has_windows: bool
    packed: float

    def patches(self, n_ctx: int) -> int:
        """Of the largest picture that a context of so many tokens can hold: others are refused before."""
        return min(self.most_patches, n_ctx * self.merged**2) if self.is_free else self.most_patches

    def graph_bytes(self, patches: int) -> int:
        """What its graph computes with for a picture of so many patches."""
        width, inner, pixels = self.width, self.inner, 3 * self.patch**2
        # A picture in pixels, laid out for each patch in half the bits, and the patches that come of it.
        begin = 1.5 * pixels + width
        # What enters a layer, its queries, keys and values, and copies of them that are rotated or halved.
        attention = (8.25 if self.is_fused else 5.5) * width
        # What enters it, the same normalised, and the inner side: three times where one half gates the other.
        forward = 3 * inner + 2.5 * width if self.is_gated else inner + 2 * width + max(width, pixels)
        # The inner side of the last part and what comes of it.
        end = 1.6 * width + self.copies * self.projected / self.merged**2
        # What single layers hand past all that follow finds half of its room in what these have left.
        past = (self.output - self.projected) / self.merged**2 / 2
        if not self.has_windows:
            return int(FLOAT * patches * (max(begin, attention, forward, end) + past))
        # A mask as it is made and in half the bits, and later two of these.
        first, later = max(5 * width, pixels), max(attention, forward, end)
        return int(max(6 * patches**2 + FLOAT * patches * first, 4 * patches**2 + FLOAT * patches * later))

    def picture_bytes(self, patches: int) -> int:
        """All it takes to look at one: pixels and what comes of them, each twice, the graph, and what a layer packs."""
        made = FLOAT * self.output * patches // self.merged**2
        pixels = PIXEL * patches * self.patch**2
        return 2 * pixels + self.graph_bytes(patches) + int(self.packed * self.inner * patches) + 2 * made

    def kept_bytes(self, places: int) -> int:
        """What is kept of a picture, or of a part of one that is looked at by itself, that takes so many places."""
        pixels = places * (self.merged * self.patch) ** 2 if self.is_free else self.side**2
        return FLOAT * self.output * places + PIXEL * pixels

    def resting_bytes(self, n_ctx: int) -> int:
        """What pictures may take that are needed, or were, by a context of so many tokens.

        As many as fit there four times, for those who wait; no more than 256 MiB unless a single time takes more.
        """
        once = n_ctx * (FLOAT * self.output + PIXEL * (self.merged * self.patch) ** 2)
        return min(CONTEXTS * once, max(RESTING_BYTES, once))


def sight_of(header: GgufHeader) -> Sight:
    """Read the sizes; one that is missing counts as nothing."""
    kind = _kind(header)
    side, patch = _number(header, "image_size"), max(1, _number(header, "patch_size"))
    merged, most = _reach(header, kind, patch)
    whole = (side // patch) ** 2
    tensors = {tensor.name: tensor for tensor in header.tensors}
    projected = _number(header, "projection_dim")
    deep = sum(name.startswith("v.deepstack.") and name.endswith(".fc2.weight") for name in tensors)
    return Sight(
        side=side,
        patch=patch,
        merged=merged,
        most_patches=most or whole,
        is_free=most > 0,
        width=_number(header, "embedding_length"),
        inner=_number(header, "feed_forward_length"),
        output=projected * (1 + deep),
        projected=projected,
        copies=3 if kind in IN_ROWS else 2,
        is_fused="v.blk.0.attn_qkv.weight" in tensors,
        is_gated="v.blk.0.ffn_gate.weight" in tensors,
        has_windows=kind in IN_WINDOWS and _number(header, "n_wa_pattern") > 0,
        packed=_packed(tensors.get("v.blk.0.ffn_down.weight")),
    )


def _packed(tensor: Tensor | None) -> float:
    packing = TENSOR_TYPES.get(tensor.type) if tensor is not None else None
    return 0.0 if packing is None else PACKED.get(packing.name, PACKED_IN_BLOCKS)


def _reach(header: GgufHeader, kind: str, patch: int) -> tuple[int, int]:
    """Patches across that make a place, and patches of the largest picture; none where all have one size."""
    merged = _number(header, "spatial_merge_size") or _number(header, "projector.scale_factor")
    pixels = _number(header, "image_max_pixels")
    if kind in BY_PIXELS and pixels:
        return merged or BY_PIXELS[kind], pixels // patch**2
    if kind in BY_EDGE:
        edge = _number(header, "preproc_image_size") or _number(header, "image_size")
        return merged or BY_EDGE[kind], (edge // patch) ** 2
    if kind in REACHES:
        reach = REACHES[kind]
        merged = merged or reach.merged
        return merged, reach.places * merged**2
    return merged or 1, 0


def _kind(header: GgufHeader) -> str:
    for where in ("vision.", ""):
        found = header.metadata.get(f"clip.{where}projector_type")
        if isinstance(found, str):
            return found
    return ""


def _number(header: GgufHeader, name: str) -> int:
    found = header.metadata.get(f"clip.vision.{name}")
    return found if type(found) is int else 0
