"""What the tests of the engine process share: a bounded wait for facts, and the files of an engine."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

from bodhi_asgi.engine.process.election import take_lock
from bodhi_asgi.engine.process.runtime import EnginePaths, spec_key
from bodhi_asgi.engine.types import ModelSpec


async def wait_until(fact: Callable[[], bool], timeout_s: float = 10.0) -> None:
    """Return when ``fact`` holds: for what the system tells nobody about, such as files and other processes."""
    async with asyncio.timeout(timeout_s):
        while not fact():
            await asyncio.sleep(0.01)


def is_free(lock: Path) -> bool:
    """Whether no engine holds ``lock``."""
    descriptor = take_lock(lock)
    if descriptor is None:
        return False
    os.close(descriptor)
    return True


def paths_of(runtime_dir: Path, spec: ModelSpec) -> EnginePaths:
    return EnginePaths(runtime_dir, spec_key(spec))
