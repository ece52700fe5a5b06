"""Typed settings reach llama.cpp under its own names, and change how a model is kept and not what it says."""

import ctypes
from dataclasses import replace
from typing import Any, get_args

import llama_cpp
import pytest

from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.runners import llama_tuning
from bodhi_asgi.engine.runners.llama_tuning import set_fields
from bodhi_asgi.engine.types import CacheType, FlashAttention, LoadMode, RopeScaling, SplitMode, Tuning
from tests.engine.support import LLAMA, text_of, work

ASK = "What is the capital of France?"
TABLES: list[tuple[Any, Any]] = [
    (CacheType, llama_tuning.CACHE_TYPES),
    (FlashAttention, llama_tuning.FLASH_ATTENTION),
    (SplitMode, llama_tuning.SPLIT_MODES),
    (RopeScaling, llama_tuning.ROPE_SCALINGS),
    (LoadMode, llama_tuning.LOAD_MODES),
]


def test_every_choice_has_its_number() -> None:
    for choices, numbers in TABLES:
        assert set(get_args(choices)) == set(numbers)
        assert len(set(numbers.values())) == len(numbers)


def test_the_pinned_version_has_every_field_that_is_set() -> None:
    model, context = llama_cpp.llama_model_default_params(), llama_cpp.llama_context_default_params()
    tuning = Tuning(cache_type_k="q8_0", flash_attention="on", rope_freq_base=5000.0, main_gpu=3)
    load_mode = llama_tuning.LOAD_MODES["read"]
    set_fields(model, **llama_tuning.of_model(tuning), tensor_split=None, load_mode=load_mode)
    set_fields(context, **llama_tuning.of_context(tuning))
    assert (model.main_gpu, model.load_mode) == (3, llama_cpp.LLAMA_LOAD_MODE_NONE)
    assert (context.type_k, context.flash_attn_type, context.rope_freq_base) == (8, 1, 5000.0)
    with pytest.raises(AttributeError, match="use_mmap"):
        set_fields(model, use_mmap=True)


def test_shares_are_as_many_as_llama_cpp_reads() -> None:
    assert llama_tuning.tensor_split(Tuning()) is None
    shares = llama_tuning.tensor_split(Tuning(tensor_split=(3.0, 1.0)))
    assert isinstance(shares, ctypes.Array)
    assert (len(shares), list(shares)[:3]) == (llama_cpp.llama_max_devices(), [3.0, 1.0, 0.0])


@pytest.mark.parametrize(
    "tuning",
    [
        Tuning(cache_type_k="q8_0", cache_type_v="q8_0"),
        Tuning(cache_type_k="f32", cache_type_v="f32", flash_attention="off"),
        Tuning(cache_type_k="bf16", flash_attention="on"),
        Tuning(n_ubatch=32, threads_batch=1),
        Tuning(load_mode="read"),
        Tuning(load_mode="mmap"),
        Tuning(tensor_split=(1.0,), split_mode="none", rope_scaling="none", rope_freq_scale=1.0),
    ],
    ids=str,
)
async def test_a_tuned_model_gives_the_same_answer(tuning: Tuning) -> None:
    engine = ThreadEngine(replace(LLAMA, tuning=tuning))
    try:
        await engine.start()
        assert "Paris" in await text_of(engine, work(ASK))
    finally:
        await engine.aclose()


async def test_what_a_model_cannot_be_kept_in_is_a_failed_load_with_the_reason() -> None:
    engine = ThreadEngine(replace(LLAMA, tuning=Tuning(cache_type_v="q4_0", flash_attention="off")))
    try:
        with pytest.raises(ModelLoadFailed, match="flash"):
            await engine.start()
    finally:
        await engine.aclose()
