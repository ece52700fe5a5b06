"""Notices an engine that lives and does not move: the second and third of three signals, after its exit.

While a host waits for something of its engine, it asks once a second how far that has come. One that does not answer,
or says that it has work and comes no further, is ended; what follows is what follows any death. An engine that nobody
waits for is not asked, so that an idle host sleeps.
"""

import asyncio
import logging
import signal
from typing import Any, Final, Protocol

from bodhi_asgi.engine.process.frames import Message
from bodhi_asgi.engine.process.peer import send_signal

TICK_S: Final = 1.0

SILENT_TICKS: Final = 5
"""Questions without an answer after which an engine counts as stopped."""

STILL_TICKS: Final = 7
"""Answers without progress, beside work, after which it counts as hung: with the grace below it is gone in ten seconds.

Progress is finer than steps: llama.cpp counts on with each node of its graph, so that a slow model is not a hung one.
"""

STILL_TICKS_LOADING: Final = 60
"""The same while the model is loaded, where a slow disk or a graphics card may take its time over one piece."""

LATE_S: Final = 2 * TICK_S
"""An answer that was awaited longer than this was not late: the host's own event loop was held up."""

GRACE_S: Final = 1.0
"""For the stacks of all threads to be written to the engine's log, before it is killed."""

log = logging.getLogger(__name__)


class Watched(Protocol):
    """A connection to an engine, as far as its watch needs to know it."""

    pid: int
    lost: "asyncio.Future[Any]"

    @property
    def is_awaited(self) -> bool: ...

    @property
    def is_loaded(self) -> bool: ...

    async def ask(self, operation: str) -> Message: ...

    def abort(self) -> None: ...


class Watch:
    """Watches one connection, from :meth:`rouse` on, for as long as something is awaited of it."""

    def __init__(self, connection: Watched) -> None:
        self.verdict = ""
        """Why this host ended the engine; empty when it did not."""
        self._connection = connection
        self._task: asyncio.Task[None] | None = None

    def rouse(self) -> None:
        """Something is awaited of the engine. Idempotent."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="bodhi-engine-watch")

    def end(self) -> None:
        """The connection has ended."""
        if self._task is not None:
            self._task.cancel()

    async def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        silent = still = 0
        progress = -1
        while self._connection.is_awaited:
            asked_at_s = loop.time()
            try:
                async with asyncio.timeout(TICK_S):
                    pong = await self._connection.ask("ping")
            except TimeoutError:
                silent += loop.time() - asked_at_s < LATE_S
                if silent >= SILENT_TICKS:
                    await self._kill(f"it did not answer for {SILENT_TICKS * TICK_S:g} s")
                    return
                continue
            silent = 0
            still = still + 1 if pong["is_busy"] and pong["progress"] == progress else 0
            progress = pong["progress"]
            if still >= (STILL_TICKS if self._connection.is_loaded else STILL_TICKS_LOADING):
                await self._kill(f"it did not move for {still * TICK_S:g} s")
                return
            await asyncio.sleep(asked_at_s + TICK_S - loop.time())

    async def _kill(self, verdict: str) -> None:
        self.verdict = verdict
        log.error("an engine process is ended", extra={"pid": self._connection.pid, "reason": verdict})
        # Several hosts may come to this at once; whoever is late finds it gone. SIGABRT has it say where it stands.
        for number in (signal.SIGABRT, signal.SIGKILL):
            if self._connection.lost.done():
                return
            send_signal(self._connection.pid, number)
            await asyncio.wait([self._connection.lost], timeout=GRACE_S)
        # Out of reach, or dying slowly: nobody shall wait for it any more.
        self._connection.abort()
