"""What a projector computes with is what llama.cpp says it sets aside, and pictures are as large as it lets them be."""

from typing import Any

import pytest

from bodhi_asgi.gguf.sight import Sight, sight_of
from bodhi_asgi.gguf.types import GgufHeader, Tensor

F32, F16 = 0, 1
MIB = 1024**2


def sight(kind: str, *names: str, deep: int = 0, kind_key: str = "clip.projector_type", **sizes: Any) -> Sight:
    """Of a header with these sizes (``__`` for a dot) and tensors."""
    metadata: dict[str, Any] = {"general.architecture": "clip", kind_key: kind}
    metadata |= {f"clip.vision.{name.replace('__', '.')}": value for name, value in sizes.items()}
    names = ("ffn_down", *names)
    tensors = [Tensor(f"v.blk.0.{name}.weight", (32, 32), F16, 0) for name in names]
    tensors += [Tensor(f"v.deepstack.{index}.fc2.weight", (32, 32), F16, 0) for index in range(deep)]
    return sight_of(GgufHeader(3, False, metadata, tuple(tensors), 0))


def sizes(side: int, patch: int, width: int, inner: int, out: int, **more: Any) -> dict[str, Any]:
    return {"image_size": side, "patch_size": patch, "embedding_length": width, "feed_forward_length": inner,
            "projection_dim": out, **more}  # fmt: skip


QWEN_25 = sight(
    "qwen2.5vl_merger", "ffn_gate", **sizes(560, 14, 1280, 3420, 3584, spatial_merge_size=2, n_wa_pattern=8)
)
QWEN_3 = sight("qwen3vl_merger", "attn_qkv", deep=3, **sizes(768, 16, 1024, 4096, 2048, spatial_merge_size=2))
PIXTRAL = sight("pixtral", "ffn_gate", **sizes(1024, 16, 1024, 4096, 5120))
GEMMA = sight("gemma3", **sizes(896, 14, 1152, 4304, 2560))

# Behind the name: patches, and the MiB of "CPU compute buffer size" that llama.cpp's log has for a projector of these
# sizes with random weights.
PUBLISHED = {
    "Qwen2-VL-2B": (sight("qwen2vl_merger", **sizes(560, 14, 1280, 5120, 1536)), 8464, 267.1),
    "Qwen2.5-VL-7B": (QWEN_25, 8464, 704.8),
    "Qwen3-VL-2B": (QWEN_3, 8464, 322.5),
    "Qwen3-VL-8B": (
        sight("qwen3vl_merger", "attn_qkv", deep=3, **sizes(768, 16, 1152, 4304, 4096)), 8464, 349.9
    ),
    "gemma-3-4b": (GEMMA, 4096, 121.2),
    "pixtral-12b": (PIXTRAL, 256, 16.6),
    "SmolVLM": (sight("idefics3", **sizes(512, 16, 768, 3072, 576, projector__scale_factor=4)), 1024, 21.0),
    "InternVL3-1B": (sight("internvl", **sizes(448, 14, 1024, 4096, 896, projector__scale_factor=2)), 1024, 28.0),
    "llava-1.5": (sight("mlp", **sizes(336, 14, 1024, 4096, 4096)), 576, 21.6),
}  # fmt: skip


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_graph_of_published_projectors_takes_what_llama_cpp_sets_aside(name: str) -> None:
    seen, patches, mib = PUBLISHED[name]
    assert seen.graph_bytes(patches) / MIB == pytest.approx(mib, rel=0.1)


def test_a_picture_has_its_own_proportions_up_to_what_its_kind_and_the_context_hold() -> None:
    assert QWEN_25.patches(1_000_000) == 4096 * 4
    assert QWEN_25.patches(1024) == 1024 * 4
    assert PIXTRAL.patches(1_000_000) == 1024
    # One size for all: a large picture is made smaller, or cut into several that are looked at one by one.
    assert GEMMA.patches(256) == GEMMA.most_patches == 4096
    asked = sizes(512, 16, 64, 128, 64)
    assert sight("phi4", **asked, image_max_pixels=1024 * 16**2).patches(4096) == 1024
    assert sight("glm5v", **asked, image_max_pixels=1024 * 16**2, spatial_merge_size=2).patches(100) == 400
    assert sight("lightonocr", **asked).patches(100_000) == 1024
    assert sight("lightonocr", **asked, preproc_image_size=1024).patches(100_000) == 4096
    assert sight("qwen2.5o", kind_key="clip.vision.projector_type", **asked).patches(100_000) == 4096 * 4


def test_the_mask_of_windows_grows_with_the_square_of_the_patches() -> None:
    plain = sight("qwen2vl_merger", "ffn_gate", **sizes(560, 14, 1280, 3420, 3584))
    assert QWEN_25.graph_bytes(16_384) - plain.graph_bytes(16_384) > 3 * 16_384**2
    assert 1.9 < plain.graph_bytes(16_384) / plain.graph_bytes(8192) < 2.1
    assert QWEN_25.graph_bytes(32_768) > 3 * QWEN_25.graph_bytes(16_384)


def test_what_is_kept_of_pictures_is_their_pixels_and_what_came_of_them() -> None:
    assert QWEN_25.kept_bytes(100) == 100 * (4 * 3584 + 12 * 28**2)
    assert QWEN_3.kept_bytes(1) == 4 * 4 * 2048 + 12 * 32**2
    assert GEMMA.kept_bytes(256) == 256 * 4 * 2560 + 12 * 896**2
    assert QWEN_25.resting_bytes(1000) == 4 * QWEN_25.kept_bytes(1000)
    assert QWEN_25.resting_bytes(8192) == 256 * MIB
    assert QWEN_25.resting_bytes(100_000) == QWEN_25.kept_bytes(100_000) > 256 * MIB


def test_a_header_that_says_nothing_takes_nothing() -> None:
    assert sight_of(GgufHeader(3, False, {}, (), 0)).picture_bytes(0) == 0
