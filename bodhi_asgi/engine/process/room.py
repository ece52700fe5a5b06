"""Making room for a model that does not fit: the least recently used of the idle ones leave, those at work never.

Done by the engine that wants to load, so that whoever waits for the memory holds its place. Nobody is sent away: each
engine decides for itself, knowing the work of all its hosts.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

from bodhi_asgi.engine.budget import least_recently_used
from bodhi_asgi.engine.process import census
from bodhi_asgi.engine.process.reservation import reserve
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.types import EngineStatus, ModelSpec

GONE_S: Final = 10.0
"""How long an engine that has agreed to leave is waited for."""

MOST_TRIES: Final = 8
"""So often it is looked again: others may take what came free, or begin to work before they are asked."""

log = logging.getLogger(__name__)


async def make_room(paths: EnginePaths, spec: ModelSpec, announce: Callable[[int], None]) -> None:
    """Reserve the memory for ``spec``, having others unloaded where it is short.

    Raises NoRoomForModel when those who have it are at work, and ModelLoadFailed when it would not even fit alone.
    """
    tries = 0
    while (shortage := await asyncio.to_thread(reserve, paths, spec, announce)) is not None:
        tries += 1
        if shortage.is_hopeless or tries > MOST_TRIES or not await _relieved(paths, shortage.missing_bytes):
            raise shortage.refusal()


async def _relieved(paths: EnginePaths, missing_bytes: int) -> bool:
    """Have engines leave, or wait for those that do; whether anything may have come free."""
    others = [status for status in await census.engines(paths.directory) if status.key != paths.key]
    leaving = [status for status in others if status.state == "leaving"]
    if not leaving:
        idle = (status for status in others if status.may_leave)
        asked = least_recently_used(
            idle,
            missing_bytes,
            idle_s=lambda status: status.idle_s or 0.0,
            size_bytes=lambda status: status.reserved_bytes,
        )
        for status in asked:
            log.info("the model '%s' makes room", status.model)
        answers = await asyncio.gather(*(census.retire(_of(paths, status), "room") for status in asked))
        leaving = [status for status, is_leaving in zip(asked, answers, strict=True) if is_leaving]
        # Whoever refused began to work meanwhile: then somebody else may be asked.
        if asked and not leaving:
            return True
    return any(await asyncio.gather(*(census.gone(_of(paths, status), GONE_S) for status in leaving)))


def _of(paths: EnginePaths, status: EngineStatus) -> EnginePaths:
    return EnginePaths(paths.directory, status.key)
