"""The verbs on downloads: pull, list, get, pause, resume, cancel, retry, archive, and follow.

A download belongs to the machine: whoever manages models sees and steers all of them. The verbs write down what is
wanted; what does it is in :mod:`bodhi_asgi.downloads.work`, in this process or in another one.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeAlias

from bodhi_asgi.audit.service import AuditService, check_page
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import ConstraintViolated
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.downloads import store
from bodhi_asgi.downloads.course import progressed
from bodhi_asgi.downloads.errors import (
    CannotArchiveActive,
    DownloadEnded,
    DownloadNotFound,
    FileAlreadyExists,
    NotRetryable,
)
from bodhi_asgi.downloads.following import follow
from bodhi_asgi.downloads.leftovers import sweep
from bodhi_asgi.downloads.plan import Plan, is_present, new_download, plan, require_space
from bodhi_asgi.downloads.types import ACTIVE, Download, DownloadFilter, DownloadStatus, Pulled, PullRequest
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.hub.reference import check_filename, check_quant, check_repo, check_revision
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import RepoSummary
from bodhi_asgi.jobs import store as jobs
from bodhi_asgi.jobs.worker import Worker
from bodhi_asgi.types import Page

KIND: Final = "download"
"""Of the jobs."""
MAX_SEARCH: Final = 200

Status = DownloadStatus
Steer: TypeAlias = Callable[[Transaction, Download], Awaitable[Download]]
TO_RETRY: Final = frozenset({Status.FAILED, Status.CANCELLED})


class DownloadService:
    """Downloads. ``budget_bytes`` says how much memory a model that is chosen by itself may take."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditService,
        events: EventBus,
        clock: Clock,
        hub: HubService,
        worker: Worker,
        budget_bytes: Callable[[], int],
    ) -> None:
        self._database = database
        self._audit = audit
        self._events = events
        self._clock = clock
        self._hub = hub
        self._worker = worker
        self._budget_bytes = budget_bytes

    @property
    def at_work(self) -> frozenset[str]:
        """The downloads that this process is at."""
        return self._worker.subjects

    async def pull(self, caller: Caller, wanted: PullRequest) -> Pulled:
        """Have files of the hub brought here. What is on its way already is found, and goes on if it had stopped.

        Needs ``models:write``. What is here already is a download that is complete, or FileAlreadyExists if so asked.
        Raises HubReferenceInvalid naming the field, what the hub may say, QuantisationMissing, QuantisationUnclear,
        NothingFits and DiskFull.
        """
        await self._require(caller, "download.pull")
        check_repo(wanted.repo)
        check_revision(wanted.revision)
        if wanted.filename is not None:
            check_filename(wanted.filename)
        if wanted.quant is not None:
            check_quant(wanted.quant)
        planned = await plan(self._hub, wanted, await asyncio.to_thread(self._budget_bytes))
        present = await asyncio.to_thread(is_present, self._hub.cache, wanted.repo, planned)
        if present:
            return await self._present(caller, wanted, planned)
        try:
            return await self._taken_up(caller, wanted, planned)
        except ConstraintViolated:  # somebody else has asked for the same in between
            return await self._taken_up(caller, wanted, planned)

    async def search(self, caller: Caller, words: str, *, limit: int = 20) -> tuple[RepoSummary, ...]:
        """Repositories of the hub with GGUF models whose names have ``words``, the most downloaded first, 1 to 100.

        Needs ``models:write``. Raises Invalid and what the hub may say.
        """
        await self._require(caller, "download.search")
        return await self._hub.search(words, limit=limit)

    async def list(
        self, caller: Caller, wanted: DownloadFilter | None = None, *, page: int = 1, page_size: int = 30
    ) -> Page[Download]:
        """Downloads, the newest first unless said otherwise, at most 100 a page. Needs ``models:write``."""
        await self._require(caller, "download.list")
        check_page(page, page_size)
        wanted = wanted or DownloadFilter()
        if wanted.sort not in store.SORTABLE:
            raise Invalid(f"'sort' is {wanted.sort[:40]!r}: {', '.join(store.SORTABLE)} are accepted", param="sort")
        if len(wanted.search) > MAX_SEARCH:
            raise Invalid(f"'search' has more than {MAX_SEARCH} characters", param="search")
        async with self._database.reading() as tx:
            found, total = await store.page(tx, wanted, offset=(page - 1) * page_size, limit=page_size)
        return Page(found, total, page, page_size)

    async def get(self, caller: Caller, download_id: str) -> Download:
        """One download. Needs ``models:write``. Raises DownloadNotFound."""
        await self._require(caller, "download.get")
        return await self._get(download_id)

    async def pause(self, caller: Caller, download_id: str) -> Download:
        """Stop it and keep what has arrived. Idempotent. Needs ``models:write``. Raises DownloadEnded at its end."""
        return await self._steer(caller, "download.pause", download_id, self._pause)

    async def resume(self, caller: Caller, download_id: str) -> Download:
        """Go on with a paused one. Idempotent. Needs ``models:write``. Raises DownloadEnded at its end."""
        return await self._steer(caller, "download.resume", download_id, self._resume)

    async def cancel(self, caller: Caller, download_id: str) -> Download:
        """Stop it, and throw away what has arrived of files that are not whole. Idempotent. Needs ``models:write``.

        Raises DownloadEnded when it is complete.
        """
        cancelled = await self._steer(caller, "download.cancel", download_id, self._cancel)
        if download_id not in self.at_work:
            await asyncio.to_thread(sweep, self._hub.cache, cancelled)
        return cancelled

    async def retry(self, caller: Caller, download_id: str) -> Download:
        """Try one again that failed or was cancelled. Needs ``models:write``. Raises NotRetryable for all others."""
        try:
            return await self._steer(caller, "download.retry", download_id, self._retry)
        except ConstraintViolated:
            raise NotRetryable("the same files are on their way already in another download", param="id") from None

    async def archive(self, caller: Caller, download_id: str) -> Download:
        """Put one that is at its end out of sight. Idempotent. Needs ``models:write``. Raises CannotArchiveActive."""
        return await self._steer(caller, "download.archive", download_id, self._archive)

    async def follow(self, caller: Caller, download_id: str) -> AsyncGenerator[Download]:
        """The download as it is now and then whenever it has changed, up to its end, whatever process is at it.

        Needs ``models:write``. Raises DownloadNotFound. A pause is no end.
        """
        await self._require(caller, "download.get")
        await self._get(download_id)
        return follow(self._events, lambda: self._get(download_id), download_id)

    async def _get(self, download_id: str) -> Download:
        async with self._database.reading() as tx:
            return await _existing(tx, download_id)

    async def _present(self, caller: Caller, wanted: PullRequest, planned: Plan) -> Pulled:
        if wanted.refuse_present:
            raise FileAlreadyExists(
                f"'{planned.files[0].filename}' of '{wanted.repo}' is on the disk already",
                param="filename",
                repo=wanted.repo,
                filename=planned.files[0].filename,
            )
        await self._hub.note(wanted.repo, wanted.revision, planned.commit)
        async with self._database.transaction() as tx:
            known = await store.last_completed(tx, wanted.repo, planned.commit, planned.files[0].filename)
            if known is not None:
                return Pulled(known, is_new=False)
            now = self._clock.now()
            made = new_download(caller.owner_id, wanted, planned, now)
            made = replace(made, status=Status.COMPLETED, downloaded_bytes=made.total_bytes, completed_at=now)
            await store.add(tx, made, None)
        return Pulled(made, is_new=False)

    async def _taken_up(self, caller: Caller, wanted: PullRequest, planned: Plan) -> Pulled:
        key = store.key_of(wanted.repo, planned.commit, planned.files)
        async with self._database.reading() as tx:
            known = await store.on_its_way(tx, key)
        if known is None:
            await asyncio.to_thread(require_space, self._hub.cache, wanted.repo, planned)
        async with self._database.transaction() as tx:
            known = await store.on_its_way(tx, key)
            if known is not None:
                verb = {Status.PAUSED: self._resume, Status.FAILED: self._retry}.get(known.status)
                if verb is not None:
                    known = await self._recorded(tx, caller, "download.pull", known, await verb(tx, known))
                return Pulled(known, is_new=False)
            made = new_download(caller.owner_id, wanted, planned, self._clock.now())
            await store.add(tx, made, key)
            await jobs.add(tx, KIND, made.id, made.created_at)
            await self._recorded(tx, caller, "download.pull", made, made, is_new=True)
            tx.after_commit(self._worker.wake)
        return Pulled(made, is_new=True)

    async def _steer(self, caller: Caller, action: str, download_id: str, verb: Steer) -> Download:
        await self._require(caller, action)
        async with self._database.transaction() as tx:
            before = await _existing(tx, download_id)
            return await self._recorded(tx, caller, action, before, await verb(tx, before))

    async def _recorded(
        self,
        tx: Transaction,
        caller: Caller,
        action: str,
        before: Download,
        after: Download,
        *,
        is_new: bool = False,
    ) -> Download:
        if is_new or after != before:
            detail = {"repo": after.repo, "filename": after.filename}
            await self._audit.record(tx, caller, action, subject=after.id, detail=dict(detail))
            tx.after_commit(lambda: self._events.publish(progressed(after)))
        return after

    async def _pause(self, tx: Transaction, known: Download) -> Download:
        _require_active(known)
        if known.status is Status.PAUSED:
            return known
        await self._drop(tx, known)
        return await self._set(tx, known, status=Status.PAUSED, bytes_per_second=0, retry_at=None)

    async def _resume(self, tx: Transaction, known: Download) -> Download:
        _require_active(known)
        if known.status is not Status.PAUSED:
            return known
        return await self._queue(tx, known)

    async def _cancel(self, tx: Transaction, known: Download) -> Download:
        if known.status is Status.CANCELLED:
            return known
        if known.status is not Status.FAILED:
            _require_active(known)
        await self._drop(tx, known)
        return await self._set(tx, known, status=Status.CANCELLED, bytes_per_second=0, retry_at=None, active_key=None)

    async def _retry(self, tx: Transaction, known: Download) -> Download:
        if known.status not in TO_RETRY:
            raise NotRetryable(f"the download is {known.status}: only a failed or cancelled one is retried", param="id")
        return await self._queue(tx, known)

    async def _archive(self, tx: Transaction, known: Download) -> Download:
        if known.status in ACTIVE:
            raise CannotArchiveActive(f"the download is {known.status}: cancel it before it is archived", param="id")
        if known.archived_at is not None:
            return known
        return await self._set(tx, known, archived_at=self._clock.now(), active_key=None)

    async def _queue(self, tx: Transaction, known: Download) -> Download:
        key = store.key_of(known.repo, known.commit, known.files)
        await jobs.add(tx, KIND, known.id, self._clock.now())
        tx.after_commit(self._worker.wake)
        return await self._set(
            tx, known, status=Status.QUEUED, error=None, error_code=None, archived_at=None, active_key=key
        )

    async def _drop(self, tx: Transaction, known: Download) -> None:
        await jobs.drop(tx, KIND, known.id)
        tx.after_commit(lambda: self._worker.interrupt(known.id))

    async def _set(self, tx: Transaction, known: Download, *, status: Status | None = None, **values: Any) -> Download:
        values = values if status is None else {**values, "status": status.value}
        await store.change(tx, known.id, self._clock.now(), only_if=(known.status,), **values)
        return await _existing(tx, known.id)

    async def _require(self, caller: Caller, action: str) -> None:
        if Scope.MODELS_WRITE not in caller.scopes:
            await self._audit.refused(caller, action)
        caller.require(Scope.MODELS_WRITE)


async def _existing(tx: Transaction, download_id: str) -> Download:
    known = await store.get(tx, download_id)
    if known is None:
        raise DownloadNotFound(f"there is no download '{download_id[:40]}'", param="id")
    return known


def _require_active(known: Download) -> None:
    if known.status not in ACTIVE:
        raise DownloadEnded(f"the download is {known.status} already", param="id")
