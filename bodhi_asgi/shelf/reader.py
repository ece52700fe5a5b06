"""Reads the headers of files that are new or have changed, one after another, in a named thread.

What is still to be read stands in the database: it survives a restart, and takes no memory however much it is.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Unavailable
from bodhi_asgi.shelf import store
from bodhi_asgi.shelf.chore import Chore
from bodhi_asgi.shelf.facts import Capable, described
from bodhi_asgi.shelf.types import Description, LocalFile

log = logging.getLogger(__name__)

AT_ONCE: Final = 16
"""Files read between two writes to the database."""

AGAIN_S: Final = 5.0


class Reader:
    """``read`` is awaited with the number of files that were read, after each batch."""

    def __init__(
        self, *, database: Database, shelf: str, capable: Capable, read: Callable[[int], Awaitable[None]]
    ) -> None:
        self._database = database
        self._shelf = shelf
        self._capable = capable
        self._read = read
        self._chore = Chore("bodhi-shelf-reader")
        self._woken = asyncio.Event()

    def start(self) -> None:
        """Wait for something to read."""
        self._chore.start(self._run())

    async def aclose(self) -> None:
        """Read no more; a file that is being read is read to the end of its header. Idempotent."""
        await self._chore.aclose()

    def wake(self) -> None:
        """There is something to read."""
        self._woken.set()

    async def describe(self, key: str, file: LocalFile) -> Description:
        """Read this file now, and keep what it tells."""
        told = await self._described(file)
        async with self._database.transaction() as tx:
            await store.describe(tx, [(key, file, told)])
        await self._read(1)
        return told

    async def _run(self) -> None:
        while True:
            await self._woken.wait()
            self._woken.clear()
            try:
                while await self._read_some():
                    pass
            except Unavailable:
                await asyncio.sleep(AGAIN_S)
                self._woken.set()
            except Exception:
                log.exception("headers of model files could not be kept; they are read again at the next change")

    async def _read_some(self) -> bool:
        """Whether to go on. Files that have changed since they were listed are left until they are listed anew."""
        async with self._database.reading() as tx:
            waiting = await store.unread(tx, self._shelf, AT_ONCE)
        told = [(key, file, await self._described(file)) for key, file in waiting]
        if not told:
            return False
        async with self._database.transaction() as tx:
            kept = await store.describe(tx, told)
        await self._read(kept)
        return kept > 0

    async def _described(self, file: LocalFile) -> Description:
        try:
            return await self._chore.do(described, file, self._capable)
        except Exception:
            log.exception("the header of a model file could not be read", extra={"path": str(file.path)})
            return Description(problem="its header cannot be read")
