"""Looks at the files at start, every few seconds, and when asked, in a named thread, and tells what has changed.

One task owns the looking and ends with the server. Most looks only ask each folder for its time of change; files are
asked again while something is going on, and now and then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from bodhi_asgi.clock import Clock
from bodhi_asgi.shelf.chore import Chore
from bodhi_asgi.shelf.scan import Scanner
from bodhi_asgi.shelf.types import Look

log = logging.getLogger(__name__)

AGAIN_S: Final = 30.0
"""Seconds after which files are looked at though no folder has changed: one may have been written into."""

RESTLESS_S: Final = 10.0
"""Seconds after a change for which more is expected: somebody copies a file."""


class Watch:
    """``noticed`` is told the looks before and after a change; ``keep`` is given a look until it has kept it."""

    def __init__(
        self,
        scanner: Scanner,
        *,
        clock: Clock,
        every_s: float,
        noticed: Callable[[Look, Look], None],
        keep: Callable[[Look], Awaitable[bool]],
    ) -> None:
        self._scanner = scanner
        self._clock = clock
        self._every_s = every_s
        self._noticed = noticed
        self._keep = keep
        self._chore = Chore("bodhi-shelf-watch")
        self._lock = asyncio.Lock()
        self._kept: Look | None = None
        self._last: Look | None = None
        self._looked_s = 0.0
        self._restless_until_s = 0.0

    def start(self) -> None:
        """Look for the first time, and go on looking."""
        self._chore.start(self._run())

    async def aclose(self) -> None:
        """Look no more. Idempotent."""
        await self._chore.aclose()

    async def last(self) -> Look:
        """What was seen last; the first look is waited for."""
        return self._last if self._last is not None else await self.look()

    async def kept(self) -> None:
        """Wait until what was seen last is kept, or cannot be."""
        if self._last is None:
            await self.look()
        elif self._kept is not self._last:
            async with self._lock:
                return

    async def look(self) -> Look:
        """Look now."""
        async with self._lock:
            self._looked_s = self._clock.monotonic()
            seen = await self._chore.do(self._scanner.look)
            before = self._last or Look()
            if seen.problems != before.problems:
                for problem in seen.problems:
                    log.warning("a folder of models cannot be looked through", extra={"problem": problem})
            # Nothing new is the very same, by which others know what they made of it.
            look = self._last = seen if self._last is None or seen != before else self._last
            if look.files != before.files:
                self._restless_until_s = self._looked_s + RESTLESS_S
                self._noticed(before, look)
            if self._kept is not look and await self._keep(look):
                self._kept = look
            return look

    async def _run(self) -> None:
        while True:
            try:
                if await self._is_worth_it():
                    await self.look()
            except Exception:
                log.exception("looking for model files failed; it is tried again")
                await asyncio.sleep(AGAIN_S)
            await asyncio.sleep(self._every_s)

    async def _is_worth_it(self) -> bool:
        now_s = self._clock.monotonic()
        is_due = self._last is None or self._kept is not self._last or now_s - self._looked_s >= AGAIN_S
        return is_due or now_s < self._restless_until_s or not await self._chore.do(self._scanner.is_still)
