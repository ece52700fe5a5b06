"""Does one download: its files one after the other, what has arrived noted every second, and its end written once.

What passes by itself (a hub that is away, or asks for patience) is tried again later; what does not, fails for good.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.downloads import store
from bodhi_asgi.downloads.course import Course, progressed
from bodhi_asgi.downloads.leftovers import sweep
from bodhi_asgi.downloads.plan import plan, require_space
from bodhi_asgi.downloads.types import Download, DownloadStatus, PullRequest
from bodhi_asgi.errors import BodhiError, Broken, Busy
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.hub.errors import HubAnswerInvalid, HubUnreachable
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import HubFile
from bodhi_asgi.jobs import store as jobs
from bodhi_asgi.jobs.errors import ClaimLost
from bodhi_asgi.jobs.types import Claim
from bodhi_asgi.jobs.worker import delay_s
from bodhi_asgi.metrics.meters import Meters

log = logging.getLogger(__name__)

NOTE_S: Final = 1.0
"""Seconds between two notes of how far a download is."""
PASSING: Final = (HubUnreachable, HubAnswerInvalid, Busy, Broken)
AT_WORK: Final = frozenset({DownloadStatus.QUEUED, DownloadStatus.RUNNING})


class Downloader:
    """Fetches what jobs name. After ``attempts`` in a row that brought nothing, a download has failed.

    ``arrived`` is called when its files are in the cache, before anybody hears of it.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditService,
        events: EventBus,
        meters: Meters,
        clock: Clock,
        hub: HubService,
        attempts: int,
        arrived: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._audit = audit
        self._events = events
        self._meters = meters
        self._clock = clock
        self._hub = hub
        self._attempts = attempts
        self._arrived = arrived

    async def run(self, held: Claim) -> None:
        """Bring one download to its end, or give it back for later. Cancelled when it is wanted no more."""
        download = await self._begin(held)
        if download is None:
            return
        course = Course(download, self._events, self._clock)
        try:
            if not download.is_planned:
                download = await self._planned(download)
                course.plan(download)
            async with self._noting(course):
                await self._fetch(download, course)
            await self._arrived()
            await self._complete(held, course)
        except asyncio.CancelledError:
            await self._interrupted(held, course)
            raise
        except ClaimLost:
            raise
        except BodhiError as error:
            await self._went_wrong(held, course, error)
        except Exception as error:
            log.exception("a download met what it does not know", extra={"download": download.id})
            reason = Broken(f"the download met an unexpected {type(error).__name__}; the log has more")
            await self._went_wrong(held, course, reason)

    async def _begin(self, held: Claim) -> Download | None:
        now = self._clock.now()
        async with self._database.transaction() as tx:
            await store.alone(tx)
            known = await store.get(tx, held.subject)
            is_wanted = known is not None and known.status in AT_WORK
            if known is not None and is_wanted:
                values = {"status": DownloadStatus.RUNNING.value, "started_at": known.started_at or now}
                await store.change(tx, known.id, now, only_if=AT_WORK, retry_at=None, **values)
                known = await store.get(tx, known.id)
            else:
                await jobs.finish(tx, held)  # nobody wants it any more
        if known is not None and is_wanted:
            self._events.publish(progressed(known))
            return known
        if known is not None and known.status is DownloadStatus.CANCELLED:  # from another place
            await asyncio.to_thread(sweep, self._hub.cache, known)
        return None

    async def _planned(self, download: Download) -> Download:
        """Ask the hub which files are meant, and write that down."""
        wanted = PullRequest(download.repo, download.revision, download.filename)
        planned = await plan(self._hub, wanted, 0)
        await asyncio.to_thread(require_space, self._hub.cache, download.repo, planned)
        known = replace(download, commit=planned.commit, quant=planned.quant, files=planned.files)
        values = {
            "commit": planned.commit,
            "quant": planned.quant,
            "filename": known.filename,
            "files": store.as_json(planned.files),
            "total_bytes": planned.total_bytes,
        }
        async with self._database.transaction() as tx:
            await store.alone(tx)
            key = store.key_of(known)
            if await store.on_its_way(tx, key) is None:  # else another brings the same, and this one finds it here
                values["active_key"] = key
            await store.change(tx, download.id, self._clock.now(), only_if=AT_WORK, **values)
        known = replace(known, total_bytes=planned.total_bytes)
        self._events.publish(progressed(known))
        return known

    async def _fetch(self, download: Download, course: Course) -> None:
        for file in download.files:
            wanted = HubFile(download.repo, file.filename, download.commit)
            fetched = await self._hub.fetch(wanted, progress=course.progress_of(file.filename))
            self._meters.downloaded_bytes.inc(fetched.received_bytes)
        await self._hub.note(download.repo, download.revision, download.commit)

    @asynccontextmanager
    async def _noting(self, course: Course) -> AsyncIterator[None]:
        noting = asyncio.create_task(self._note(course))
        try:
            yield
        finally:
            noting.cancel()
            with suppress(asyncio.CancelledError):
                await noting

    async def _note(self, course: Course) -> None:
        """Write down every second how far it is, for other processes and for the next life."""
        while True:
            await asyncio.sleep(NOTE_S)
            now = course.snapshot()
            values = {"downloaded_bytes": now.downloaded_bytes, "bytes_per_second": now.bytes_per_second}
            try:
                async with self._database.transaction() as tx:
                    await store.change(tx, now.id, self._clock.now(), only_if=(DownloadStatus.RUNNING,), **values)
            except BodhiError as error:
                log.warning("progress was not noted", extra={"download": now.id, "reason": error.message})

    async def _complete(self, held: Claim, course: Course) -> None:
        download = course.snapshot()
        now = self._clock.now()
        values = {
            "status": DownloadStatus.COMPLETED.value,
            "downloaded_bytes": download.total_bytes,
            "bytes_per_second": 0,
            "completed_at": now,
            "active_key": None,
            "error": None,
            "error_code": None,
        }
        async with self._database.transaction() as tx:
            await store.alone(tx)
            await jobs.finish(tx, held)
            await self._end(tx, download, "download.complete", values)

    async def _went_wrong(self, held: Claim, course: Course, error: BodhiError) -> None:
        download = course.snapshot()
        failures = 1 if course.is_moving else held.failures + 1
        told = {
            "error": error.message,
            "error_code": error.code,
            "downloaded_bytes": download.downloaded_bytes,
            "bytes_per_second": 0,
        }
        async with self._database.transaction() as tx:
            await store.alone(tx)
            if isinstance(error, PASSING) and failures < self._attempts:
                later = self._clock.now() + timedelta(seconds=max(error.retry_after_s or 0, delay_s(failures)))
                await jobs.postpone(tx, held, later, failures)
                values = {**told, "status": DownloadStatus.QUEUED.value, "retry_at": later}
                await self._change(tx, download, values)
            else:
                await jobs.finish(tx, held)
                values = {**told, "status": DownloadStatus.FAILED.value}
                await self._end(tx, download, "download.fail", values)

    async def _interrupted(self, held: Claim, course: Course) -> None:
        """It was paused or cancelled, or the worker stops: leave what is known, and nothing that nobody wants."""
        download = course.snapshot()
        far = {"downloaded_bytes": download.downloaded_bytes, "bytes_per_second": 0}
        now = self._clock.now()
        with suppress(BodhiError):  # then the lease runs out, and the next one finds what is on the disk
            async with self._database.transaction() as tx:
                await store.alone(tx)
                if await jobs.is_held(tx, held):
                    values = {**far, "status": DownloadStatus.QUEUED.value}
                    await store.change(tx, download.id, now, only_if=AT_WORK, **values)
                await store.change(tx, download.id, now, only_if=(DownloadStatus.PAUSED,), **far)
                known = await store.get(tx, download.id)
            if known is not None:
                self._events.publish(progressed(known))
                if known.status is DownloadStatus.CANCELLED:
                    await asyncio.to_thread(sweep, self._hub.cache, known)

    async def _end(self, tx: Transaction, download: Download, action: str, values: dict[str, Any]) -> None:
        await self._change(tx, download, values)
        detail = {"repo": download.repo, "filename": download.filename, "error": values.get("error_code")}
        await self._audit.record(tx, Caller.system(), action, subject=download.id, detail=detail)
        outcome = str(values["status"])
        tx.after_commit(lambda: self._meters.downloads.inc(1, outcome=outcome))

    async def _change(self, tx: Transaction, download: Download, values: dict[str, Any]) -> None:
        await store.change(tx, download.id, self._clock.now(), only_if=AT_WORK, **values)
        known = await store.get(tx, download.id)
        assert known is not None, "downloads are never deleted"
        tx.after_commit(lambda: self._events.publish(progressed(known)))
