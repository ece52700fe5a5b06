"""What the typed settings of a model are called in llama.cpp's parameter structs, those of the pinned version."""

import ctypes
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import llama_cpp

from bodhi_asgi.engine.types import CacheType, FlashAttention, LoadMode, RopeScaling, SplitMode, Tuning

GGML_TYPE_BF16: Final = 30
"""Of ``ggml.h``; the bindings do not name it."""

CACHE_TYPES: Final[Mapping[CacheType, int]] = MappingProxyType(
    {
        "f32": llama_cpp.GGML_TYPE_F32,
        "f16": llama_cpp.GGML_TYPE_F16,
        "bf16": GGML_TYPE_BF16,
        "q8_0": llama_cpp.GGML_TYPE_Q8_0,
        "q5_1": llama_cpp.GGML_TYPE_Q5_1,
        "q5_0": llama_cpp.GGML_TYPE_Q5_0,
        "q4_1": llama_cpp.GGML_TYPE_Q4_1,
        "q4_0": llama_cpp.GGML_TYPE_Q4_0,
        "iq4_nl": llama_cpp.GGML_TYPE_IQ4_NL,
    }
)
FLASH_ATTENTION: Final[Mapping[FlashAttention, int]] = MappingProxyType(
    {
        "auto": llama_cpp.LLAMA_FLASH_ATTN_TYPE_AUTO,
        "on": llama_cpp.LLAMA_FLASH_ATTN_TYPE_ENABLED,
        "off": llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    }
)
SPLIT_MODES: Final[Mapping[SplitMode, int]] = MappingProxyType(
    {
        "layer": llama_cpp.LLAMA_SPLIT_MODE_LAYER,
        "row": llama_cpp.LLAMA_SPLIT_MODE_ROW,
        "none": llama_cpp.LLAMA_SPLIT_MODE_NONE,
    }
)
ROPE_SCALINGS: Final[Mapping[RopeScaling, int]] = MappingProxyType(
    {
        "model": llama_cpp.LLAMA_ROPE_SCALING_TYPE_UNSPECIFIED,
        "none": llama_cpp.LLAMA_ROPE_SCALING_TYPE_NONE,
        "linear": llama_cpp.LLAMA_ROPE_SCALING_TYPE_LINEAR,
        "yarn": llama_cpp.LLAMA_ROPE_SCALING_TYPE_YARN,
        "longrope": llama_cpp.LLAMA_ROPE_SCALING_TYPE_LONGROPE,
    }
)
LOAD_MODES: Final[Mapping[LoadMode, int]] = MappingProxyType(
    {
        "auto": llama_cpp.LLAMA_LOAD_MODE_AUTO,
        "mmap": llama_cpp.LLAMA_LOAD_MODE_MMAP,
        "read": llama_cpp.LLAMA_LOAD_MODE_NONE,
        "mlock": llama_cpp.LLAMA_LOAD_MODE_MLOCK,
    }
)


def of_model(tuning: Tuning) -> dict[str, Any]:
    """Fields of ``llama_model_params``."""
    return {
        "split_mode": SPLIT_MODES[tuning.split_mode],
        "main_gpu": tuning.main_gpu,
    }


def tensor_split(tuning: Tuning) -> Any:
    """Shares as llama.cpp reads them, as many as it reads, or NULL. To be referenced until the model is loaded."""
    if not tuning.tensor_split:
        return None
    return (ctypes.c_float * int(llama_cpp.llama_max_devices()))(*tuning.tensor_split)


def of_context(tuning: Tuning) -> dict[str, Any]:
    """Fields of ``llama_context_params``."""
    return {
        "type_k": CACHE_TYPES[tuning.cache_type_k],
        "type_v": CACHE_TYPES[tuning.cache_type_v],
        "flash_attn_type": FLASH_ATTENTION[tuning.flash_attention],
        "rope_scaling_type": ROPE_SCALINGS[tuning.rope_scaling],
        "rope_freq_base": tuning.rope_freq_base,
        "rope_freq_scale": tuning.rope_freq_scale,
        "yarn_orig_ctx": tuning.yarn_orig_ctx,
    }


def set_fields(struct: Any, **values: Any) -> None:
    """Set fields of a parameter struct. ctypes takes unknown names without a word; here they are an error."""
    names = {name for name, _ in struct._fields_}
    for name, value in values.items():
        if name not in names:
            raise AttributeError(f"{type(struct).__name__} has no field '{name}'")
        setattr(struct, name, value)
