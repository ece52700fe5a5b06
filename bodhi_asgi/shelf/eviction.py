"""Keeps the cache within a size: the file that was not used for the longest time goes first, and none that is needed.

The file that was wanted last stays even when it is larger than all that is allowed: a download is not undone.
"""

import asyncio
import logging
import os
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Final

from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.shelf import store
from bodhi_asgi.shelf.disposal import Disposal
from bodhi_asgi.shelf.holders import Intent
from bodhi_asgi.shelf.shelf import Shelf
from bodhi_asgi.shelf.types import LocalFile, ShelvedFile

log = logging.getLogger(__name__)

RECENT_S: Final = 180.0
"""Seconds after its last use, or after it came, in which a file stays; uses are written once in 60."""

AGAIN_S: Final = 60.0


class Eviction:
    """Removes files of the cache while the model files there have more than ``max_bytes`` together."""

    def __init__(self, *, shelf: Shelf, disposal: Disposal, database: Database, clock: Clock, max_bytes: int) -> None:
        self._shelf = shelf
        self._disposal = disposal
        self._database = database
        self._clock = clock
        self._max_bytes = max_bytes
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look after the size, if there is a limit."""
        if self._max_bytes:
            self._task = asyncio.create_task(self._run(), name="bodhi-shelf-eviction")

    async def aclose(self) -> None:
        """Remove no more. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def wake(self) -> None:
        """Files have come or changed."""
        self._woken.set()

    async def evict(self) -> int:
        """Remove what must go; how many bytes there are too many still."""
        await self._shelf.look()
        await self._shelf.kept()
        async with self._database.reading() as tx:
            known = await store.all_in_cache(tx, self._shelf.id)
        sizes = await asyncio.to_thread(_sizes, [one.file for one in known])
        excess, is_less = sum(sizes.values()) - self._max_bytes, False
        for one in self._candidates(known) if excess > 0 else ():
            if excess <= 0:
                break
            try:
                removed = await self._disposal.dispose(Intent(Caller.system()), one.file, "model_file.evict")
            except BodhiError:
                continue  # it is needed, or cannot be removed
            excess -= removed.freed_bytes
            log.info(
                "a model file was removed to keep the cache within its size",
                extra={"repo": one.file.repo, "file": one.file.filename, "freed_bytes": removed.freed_bytes},
            )
            is_less = True
        if is_less:
            await self._shelf.look()
        return max(0, excess)

    def _candidates(self, known: Sequence[ShelvedFile]) -> Iterable[ShelvedFile]:
        """Files that may go, the least recently used first."""
        older = sorted(known, key=lambda one: (one.last_wanted_at, one.key))[:-1]
        recent = self._clock.now() - timedelta(seconds=RECENT_S)
        return [one for one in older if one.last_wanted_at <= recent]

    async def _run(self) -> None:
        while True:
            try:
                if await self.evict():
                    async with asyncio.timeout(AGAIN_S):
                        await self._woken.wait()
                else:
                    await self._woken.wait()
            except TimeoutError:
                pass
            except BodhiError:
                await asyncio.sleep(AGAIN_S)
            except Exception:
                log.exception("keeping the cache within its size failed; it is tried again")
                await asyncio.sleep(AGAIN_S)
            self._woken.clear()


def _sizes(files: Iterable[LocalFile]) -> dict[str, int]:
    """Of each file as it really lies on the disk, however many names it has."""
    found: dict[str, int] = {}
    for file in files:
        for path in file.paths:
            with suppress(OSError):
                found[os.path.realpath(path)] = path.stat().st_size
    return found
