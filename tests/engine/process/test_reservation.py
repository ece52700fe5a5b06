"""Engines of one data directory share one budget of memory."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.memory import model_memory
from bodhi_asgi.engine.process.reservation import GIB, default_budget, needed_bytes, reserve
from bodhi_asgi.engine.process.runtime import EnginePaths, open_private
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO, answer, nothing_is_left, work
from tests.engine.support import LLAMA

NEEDED = needed_bytes(LLAMA)
FIRST = replace(LLAMA, name="first", memory_bytes=int(1.5 * NEEDED))
SECOND = replace(FIRST, name="second")


async def test_a_model_that_does_not_fit_beside_another_is_refused_until_that_has_gone(
    make_engine: MakeEngine, runtime_dir: Path
) -> None:
    first, second = make_engine(FIRST), make_engine(SECOND)
    assert await answer(first, work("hello", spec=FIRST)) != ""
    with pytest.raises(ModelLoadFailed, match=r"needs about .* MiB of memory; .* are taken by 'first'") as refused:
        await second.start()
    assert refused.value.retry_after_s
    await first.aclose(terminate=True)
    await nothing_is_left(runtime_dir)
    assert await answer(second, work("hello", spec=SECOND)) != ""


async def test_an_engine_that_was_killed_has_no_reservation(make_engine: MakeEngine) -> None:
    first, second = make_engine(FIRST), make_engine(SECOND)
    await first.start()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(10):
        while True:
            try:
                await second.start()
            except ModelLoadFailed:
                await asyncio.sleep(0.05)
            else:
                break


async def test_of_two_that_start_at_once_one_is_refused(make_engine: MakeEngine) -> None:
    engines = [make_engine(FIRST), make_engine(SECOND)]
    ends = await asyncio.gather(*(engine.start() for engine in engines), return_exceptions=True)
    assert sorted(isinstance(end, ModelLoadFailed) for end in ends) == [False, True]


def test_a_model_larger_than_the_budget_is_refused_for_good(tmp_path: Path) -> None:
    paths = EnginePaths(tmp_path / "r", "k")
    open_private(paths.directory)
    announced: list[int] = []
    with pytest.raises(ModelLoadFailed, match="engines may take") as refused:
        reserve(paths, replace(FIRST, memory_bytes=NEEDED - 1), announced.append)
    assert refused.value.retry_after_s is None
    assert announced == []
    reserve(paths, replace(FIRST, memory_bytes=NEEDED), announced.append)
    assert announced == [NEEDED]


def test_what_is_needed_is_weights_and_cache_or_nothing_on_a_graphics_card() -> None:
    memory = model_memory(DEMO_MODEL_PATH, 512)
    assert NEEDED == memory.weight_bytes + (memory.cache_bytes or 0) > DEMO_MODEL_PATH.stat().st_size
    assert needed_bytes(replace(LLAMA, n_gpu_layers=-1)) == needed_bytes(ECHO) == 0
    assert default_budget() > GIB / 16
