"""Does jobs of one kind, several at once: claims them, keeps saying that it is at them, gives back what it cannot end.

Within a process a new job is heard of at once, from other processes by looking. What the work is, and what becomes of
it, is the family's that gives ``run``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Self, TypeAlias

from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Unavailable
from bodhi_asgi.jobs import store
from bodhi_asgi.jobs.errors import ClaimLost
from bodhi_asgi.jobs.types import Claim

log = logging.getLogger(__name__)

Run: TypeAlias = Callable[[Claim], Awaitable[None]]
"""Does one job. It ends the job itself, with ``store.finish`` or ``store.postpone`` in the transaction of the outcome.

Cancelled when the job is not ours any more, or the worker stops.
"""

LOOK_S: Final = 1.0
"""Seconds between two looks for jobs that other processes have added."""
BEAT_S: Final = 2.0
"""Seconds between two words that we are still at it."""
LEASE_S: Final = 10.0
"""Seconds without such a word, after which a job is anybody's."""
MAX_DELAY_S: Final = 300.0


def delay_s(failures: int) -> float:
    """How long to wait after so many failures in a row: 1, 2, 4 … seconds, five minutes at most."""
    return min(2.0 ** min(max(failures - 1, 0), 10), MAX_DELAY_S)


class Worker:
    """At most ``parallel`` jobs of ``kind`` at a time, from ``async with`` to its end. With 0 it does none.

    Those that are to be done at ``place``, and those that can be done anywhere.
    """

    def __init__(
        self,
        *,
        database: Database,
        clock: Clock,
        kind: str,
        run: Run,
        parallel: int,
        place: str | None = None,
        look_s: float = LOOK_S,
        beat_s: float = BEAT_S,
        lease_s: float = LEASE_S,
    ) -> None:
        self._database = database
        self._clock = clock
        self._kind = kind
        self._run = run
        self._parallel = parallel
        self._place = place
        self._look_s = look_s
        self._beat_s = beat_s
        self._lease_s = lease_s
        self._woken = asyncio.Event()
        self._works: dict[str, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None
        self._is_blind = False

    @property
    def subjects(self) -> frozenset[str]:
        """What this worker is at."""
        return frozenset(self._works)

    def wake(self) -> None:
        """There is something new to do."""
        self._woken.set()

    def interrupt(self, subject: str) -> None:
        """Stop the work on ``subject`` at once, if it is ours: its job was dropped."""
        work = self._works.get(subject)
        if work is not None:
            work.cancel()

    async def __aenter__(self) -> Self:
        if self._parallel:
            self._main = asyncio.create_task(self._work_on(), name=f"bodhi-jobs-{self._kind}")
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        if self._main is not None:
            self._main.cancel()
            with suppress(asyncio.CancelledError):
                await self._main
            self._main = None

    async def _work_on(self) -> None:
        async with asyncio.TaskGroup() as group:
            while True:
                self._woken.clear()
                await self._fill(group)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._look_s):
                        await self._woken.wait()

    async def _fill(self, group: asyncio.TaskGroup) -> None:
        """Begin jobs until there are no more, or no more places."""
        try:
            while len(self._works) < self._parallel and (held := await self._claim()) is not None:
                # The place is taken here and not by the task, which begins later.
                work = asyncio.ensure_future(self._run(held))
                self._works[held.subject] = work
                group.create_task(self._hold(held, work))
            self._is_blind = False
        except Exception as error:  # the database is away, or not migrated yet: both pass
            if not self._is_blind:
                log.warning("no jobs can be claimed", extra={"kind": self._kind, "reason": str(error)})
            self._is_blind = True

    async def _claim(self) -> Claim | None:
        now = self._clock.now()
        # A subject whose last work is just coming to its end waits for that.
        mine = tuple(self._works)
        async with self._database.reading() as tx:
            if not await store.has_due(tx, self._kind, now, but=mine, place=self._place):
                return None
        until = now + timedelta(seconds=self._lease_s)
        async with self._database.transaction() as tx:
            return await store.claim(tx, self._kind, now, until, but=mine, place=self._place)

    async def _hold(self, held: Claim, work: "asyncio.Task[None]") -> None:
        beating = asyncio.create_task(self._beat(held))
        try:
            await asyncio.wait({work, beating}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (work, beating):
                task.cancel()
            await asyncio.wait({work, beating})
            try:
                await self._leave(held, work)
            except Exception as error:  # what cannot be said is left to the lease
                log.warning("a job was not given back", extra={"job": held.subject, "reason": str(error)})
            finally:
                del self._works[held.subject]
                self._woken.set()

    async def _beat(self, held: Claim) -> None:
        """Return when the job is not ours any more."""
        loop = asyncio.get_running_loop()
        heard = loop.time()
        while loop.time() - heard < self._lease_s:
            await asyncio.sleep(self._beat_s)
            try:
                until = self._clock.now() + timedelta(seconds=self._lease_s)
                async with self._database.transaction() as tx:
                    await store.extend(tx, held, until)
                heard = loop.time()
            except ClaimLost:
                return
            except Unavailable as error:
                log.warning("a job cannot be kept", extra={"job": held.subject, "reason": error.message})

    async def _leave(self, held: Claim, work: "asyncio.Task[None]") -> None:
        error = None if work.cancelled() else work.exception()
        if work.cancelled():
            async with self._database.transaction() as tx:
                await store.release(tx, held)
        elif error is not None and not isinstance(error, ClaimLost):
            log.error("a job failed", extra={"kind": self._kind, "job": held.subject}, exc_info=error)
            failures = held.failures + 1
            later = self._clock.now() + timedelta(seconds=delay_s(failures))
            async with self._database.transaction() as tx:
                await store.postpone(tx, held, later, failures)
