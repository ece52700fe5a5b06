"""What is done to a download within one transaction: its row, its job, the word in the audit trail, and who is told."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeAlias

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.downloads import store
from bodhi_asgi.downloads.course import progressed
from bodhi_asgi.downloads.errors import CannotArchiveActive, DownloadEnded, DownloadNotFound, NotRetryable
from bodhi_asgi.downloads.types import ACTIVE, Download
from bodhi_asgi.downloads.types import DownloadStatus as Status
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.jobs import store as jobs
from bodhi_asgi.jobs.worker import Worker

KIND: Final = "download"
"""Of the jobs."""
TO_RETRY: Final = frozenset({Status.FAILED, Status.CANCELLED})

Steer: TypeAlias = Callable[[Transaction, Download], Awaitable[Download]]


class Steering:
    """The changes of state. Each takes the download as it stands in the transaction, and gives it as it is then."""

    def __init__(self, *, audit: AuditService, events: EventBus, clock: Clock, worker: Worker, place: str) -> None:
        self.place = place
        self._audit = audit
        self._events = events
        self._clock = clock
        self._worker = worker

    async def begin(self, tx: Transaction, caller: Caller, made: Download) -> None:
        """A new one: written down, to be done where it is for. Raises ConstraintViolated when it is there already."""
        await store.add(tx, made, store.key_of(made))
        await jobs.add(tx, KIND, made.id, made.created_at, place=made.place)
        await self.recorded(tx, caller, "download.pull", made, made, is_new=True)
        tx.after_commit(self._worker.wake)

    async def taken_up(self, tx: Transaction, caller: Caller, known: Download) -> Download:
        """One that is asked for again: a paused or failed one goes on."""
        verb: Steer | None = {Status.PAUSED: self.resume, Status.FAILED: self.retry}.get(known.status)
        if verb is None:
            return known
        return await self.recorded(tx, caller, "download.pull", known, await verb(tx, known))

    async def pause(self, tx: Transaction, known: Download) -> Download:
        _require_active(known)
        if known.status is Status.PAUSED:
            return known
        await self._drop(tx, known)
        return await self._set(tx, known, status=Status.PAUSED, bytes_per_second=0, retry_at=None)

    async def resume(self, tx: Transaction, known: Download) -> Download:
        _require_active(known)
        if known.status is not Status.PAUSED:
            return known
        return await self._queue(tx, known)

    async def cancel(self, tx: Transaction, known: Download) -> Download:
        if known.status is Status.CANCELLED:
            return known
        if known.status is not Status.FAILED:
            _require_active(known)
        await self._drop(tx, known)
        if not self.is_here(known):  # what has arrived lies there, and whoever works there throws it away
            await jobs.add(tx, KIND, known.id, self._clock.now(), place=known.place)
        return await self._set(tx, known, status=Status.CANCELLED, bytes_per_second=0, retry_at=None, active_key=None)

    async def retry(self, tx: Transaction, known: Download) -> Download:
        if known.status not in TO_RETRY:
            raise NotRetryable(f"the download is {known.status}: only a failed or cancelled one is retried", param="id")
        return await self._queue(tx, known)

    async def archive(self, tx: Transaction, known: Download) -> Download:
        if known.status in ACTIVE:
            raise CannotArchiveActive(f"the download is {known.status}: cancel it before it is archived", param="id")
        if known.archived_at is not None:
            return known
        return await self._set(tx, known, archived_at=self._clock.now(), active_key=None)

    async def recorded(
        self,
        tx: Transaction,
        caller: Caller,
        action: str,
        before: Download,
        after: Download,
        *,
        is_new: bool = False,
    ) -> Download:
        """Leave a word of a change in the audit trail, and tell of it once it is committed."""
        if is_new or after != before:
            detail = {"repo": after.repo, "filename": after.filename}
            await self._audit.record(tx, caller, action, subject=after.id, detail=dict(detail))
            tx.after_commit(lambda: self._events.publish(progressed(after)))
        return after

    def is_here(self, known: Download) -> bool:
        """Whether its files are for the disk of this server."""
        return known.place in (None, self.place)

    async def _queue(self, tx: Transaction, known: Download) -> Download:
        await jobs.drop(tx, KIND, known.id)  # a cancelled one may wait to be cleaned up elsewhere
        await jobs.add(tx, KIND, known.id, self._clock.now(), place=known.place)
        tx.after_commit(self._worker.wake)
        return await self._set(
            tx,
            known,
            status=Status.QUEUED,
            error=None,
            error_code=None,
            archived_at=None,
            active_key=store.key_of(known),
        )

    async def _drop(self, tx: Transaction, known: Download) -> None:
        await jobs.drop(tx, KIND, known.id)
        tx.after_commit(lambda: self._worker.interrupt(known.id))

    async def _set(self, tx: Transaction, known: Download, *, status: Status | None = None, **values: Any) -> Download:
        values = values if status is None else {**values, "status": status.value}
        await store.change(tx, known.id, self._clock.now(), only_if=(known.status,), **values)
        return await existing(tx, known.id)


async def existing(tx: Transaction, download_id: str) -> Download:
    """The download of this id. Raises DownloadNotFound."""
    known = await store.get(tx, download_id)
    if known is None:
        raise DownloadNotFound(f"there is no download '{download_id[:40]}'", param="id")
    return known


def _require_active(known: Download) -> None:
    if known.status not in ACTIVE:
        raise DownloadEnded(f"the download is {known.status} already", param="id")
