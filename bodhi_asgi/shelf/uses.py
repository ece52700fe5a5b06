"""Notes when files are used: a look into a dictionary for each use, and one write a minute for each file."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Final

from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Unavailable
from bodhi_asgi.shelf import store
from bodhi_asgi.shelf.types import LocalFile

log = logging.getLogger(__name__)

EVERY_S: Final = 60.0
MAX_PATHS: Final = 10_000


class Uses:
    """``files`` gives the files there are, ``key`` what the table knows one by; ``kept`` is called after a write."""

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        files: Callable[[], Awaitable[Iterable[LocalFile]]],
        key: Callable[[LocalFile], str],
        kept: Callable[[], None],
    ) -> None:
        self._database = database
        self._clock = clock
        self._files = files
        self._key = key
        self._kept = kept
        self._noted: dict[str, float] = {}
        self._waiting: set[str] = set()
        self._woken = asyncio.Event()
        self._lock = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Write what is noted."""
        self._task = asyncio.create_task(self._run(), name="bodhi-shelf-uses")

    async def aclose(self) -> None:
        """Write what has not been written, and end. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            await self.write()

    def note(self, paths: Iterable[str]) -> None:
        """These files are used now."""
        now_s = self._clock.monotonic()
        for path in paths:
            before_s = self._noted.get(path)
            if before_s is None or now_s - before_s >= EVERY_S:
                if len(self._noted) >= MAX_PATHS:
                    self._noted.clear()
                self._noted[path] = now_s
                self._waiting.add(path)
                self._woken.set()

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            await self.write()

    async def write(self) -> None:
        """Write what has been noted. Cancelled, it leaves that to be written."""
        async with self._lock:
            paths, self._waiting = self._waiting, set()
            if paths:
                await self._keep(paths)

    async def _keep(self, paths: set[str]) -> None:
        try:
            files = await asyncio.to_thread(_those, tuple(await self._files()), paths)
            now = self._clock.now()
            if files:
                async with self._database.transaction() as tx:
                    await store.touch(tx, map(self._key, files), now, now - timedelta(seconds=EVERY_S))
                self._kept()
        except asyncio.CancelledError:
            self._waiting |= paths
            raise
        except Unavailable:
            log.info("the use of model files could not be noted: the database is not reachable")
        except Exception:
            log.exception("the use of model files could not be noted")


def _those(files: Iterable[LocalFile], paths: set[str]) -> list[LocalFile]:
    """The files that engines know by these paths, as they are or by where their links lead."""
    real = {os.path.realpath(path) for path in paths}
    return [file for file in files if str(file.path) in paths or os.path.realpath(file.path) in real]
