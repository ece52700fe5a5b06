"""Engines of one data directory share one budget of memory."""

import asyncio
import os
import signal
from dataclasses import replace
from pathlib import Path

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.budget import GIB, default_budget, needed_bytes
from bodhi_asgi.engine.errors import NoRoomForModel
from bodhi_asgi.engine.memory import model_memory
from bodhi_asgi.engine.process.reservation import reserve
from bodhi_asgi.engine.process.runtime import EnginePaths, open_private
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO
from tests.engine.support import LLAMA

NEEDED = needed_bytes(LLAMA)
FIRST = replace(LLAMA, name="first", memory_bytes=int(1.5 * NEEDED))
SECOND = replace(FIRST, name="second")


async def test_an_engine_that_was_killed_has_no_reservation(make_engine: MakeEngine) -> None:
    first, second = make_engine(FIRST), make_engine(SECOND)
    await first.start()
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    async with asyncio.timeout(20):
        while True:
            try:
                await second.start()
            except NoRoomForModel:
                await asyncio.sleep(0.05)
            else:
                break


async def test_of_two_that_start_at_once_one_is_refused(make_engine: MakeEngine) -> None:
    engines = [make_engine(FIRST), make_engine(SECOND)]
    ends = await asyncio.gather(*(engine.start() for engine in engines), return_exceptions=True)
    assert sorted(isinstance(end, NoRoomForModel) for end in ends) == [False, True]


def test_what_does_not_fit_reserves_nothing_and_says_what_is_missing(tmp_path: Path) -> None:
    paths = EnginePaths(tmp_path / "r", "k")
    open_private(paths.directory)
    announced: list[int] = []
    shortage = reserve(paths, replace(FIRST, memory_bytes=NEEDED - 1), announced.append)
    assert shortage is not None
    assert (shortage.missing_bytes, shortage.is_hopeless, shortage.taken) == (1, True, ())
    assert announced == []
    assert reserve(paths, replace(FIRST, memory_bytes=NEEDED), announced.append) is None
    assert announced == [NEEDED]


def test_what_is_needed_is_weights_and_cache_or_nothing_on_a_graphics_card() -> None:
    memory = model_memory(DEMO_MODEL_PATH, LLAMA)
    assert memory.cache_bytes
    told = memory.weight_bytes + memory.cache_bytes + memory.compute_bytes
    assert told + memory.stowage_bytes == memory.most_bytes == NEEDED
    assert DEMO_MODEL_PATH.stat().st_size < NEEDED
    assert needed_bytes(replace(LLAMA, n_gpu_layers=-1)) == needed_bytes(ECHO) == 0
    assert default_budget() > GIB / 16
