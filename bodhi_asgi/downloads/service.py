"""The verbs on downloads: pull, list, get, pause, resume, cancel, retry, archive, and follow.

A download belongs to the machine: whoever manages models sees and steers all of them. The verbs write down what is
wanted; what does it is in :mod:`bodhi_asgi.downloads.work`, in this process or in another one.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import replace
from typing import Final

from bodhi_asgi.audit.service import AuditService, check_page
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import ConstraintViolated
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.downloads import store
from bodhi_asgi.downloads.errors import FileAlreadyExists, NotRetryable
from bodhi_asgi.downloads.following import follow
from bodhi_asgi.downloads.leftovers import sweep
from bodhi_asgi.downloads.plan import Plan, is_present, new_download, plan, require_space, unplanned_download
from bodhi_asgi.downloads.steering import Steer, Steering, existing
from bodhi_asgi.downloads.types import Download, DownloadFilter, DownloadStatus, Pulled, PullRequest
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.hub.reference import check_filename, check_of_the_hub, check_quant, check_revision, is_made_up
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import RepoSummary
from bodhi_asgi.jobs.worker import Worker
from bodhi_asgi.types import Page

MAX_SEARCH: Final = 200


class DownloadService:
    """Downloads into the cache of ``place``.

    ``budget_bytes`` says how much memory a model that is chosen by itself may take; ``arrived`` is called when new
    files are in the cache, before anybody is told.
    """

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditService,
        events: EventBus,
        clock: Clock,
        hub: HubService,
        worker: Worker,
        place: str,
        budget_bytes: Callable[[], int],
        arrived: Callable[[], Awaitable[None]],
    ) -> None:
        self._database = database
        self._audit = audit
        self._events = events
        self._clock = clock
        self._hub = hub
        self._worker = worker
        self._budget_bytes = budget_bytes
        self._arrived = arrived
        self._steering = Steering(audit=audit, events=events, clock=clock, worker=worker, place=place)

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
        check_of_the_hub(wanted.repo)
        check_revision(wanted.revision)
        if wanted.filename is not None:
            check_filename(wanted.filename)
        if wanted.quant is not None:
            check_quant(wanted.quant)
        planned = await plan(self._hub, wanted, await asyncio.to_thread(self._budget_bytes))
        present = await asyncio.to_thread(is_present, self._hub.cache, wanted.repo, planned)
        if present:
            return await self._present(caller, wanted, planned)
        return await self._taken_up(caller, wanted, planned)

    async def enqueue(self, tx: Transaction, caller: Caller, wanted: PullRequest) -> None:
        """Have one file brought here as a part of something else, in whose transaction it is written down.

        For the house: names and permissions have been checked. The hub is asked by who does it, so what it says stands
        in the list of downloads. Offline nothing is begun, nor for a repository that is none of the hub.
        """
        assert wanted.filename is not None, "what is chosen by itself is asked for by pull"
        if self._hub.access.is_offline or is_made_up(wanted.repo):
            return
        made = unplanned_download(self._steering.place, caller.owner_id, wanted, self._clock.now())
        await store.alone(tx)
        known = await store.bringing(tx, made)
        if known is not None:
            await self._steering.taken_up(tx, caller, known)
        else:
            await self._steering.begin(tx, caller, made)

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
        return await self._steer(caller, "download.pause", download_id, self._steering.pause)

    async def resume(self, caller: Caller, download_id: str) -> Download:
        """Go on with a paused one. Idempotent. Needs ``models:write``. Raises DownloadEnded at its end."""
        return await self._steer(caller, "download.resume", download_id, self._steering.resume)

    async def cancel(self, caller: Caller, download_id: str) -> Download:
        """Stop it, and throw away what has arrived of files that are not whole. Idempotent. Needs ``models:write``.

        Raises DownloadEnded when it is complete.
        """
        cancelled = await self._steer(caller, "download.cancel", download_id, self._steering.cancel)
        if download_id not in self.at_work and self._steering.is_here(cancelled):
            await asyncio.to_thread(sweep, self._hub.cache, cancelled)
        return cancelled

    async def retry(self, caller: Caller, download_id: str) -> Download:
        """Try one again that failed or was cancelled. Needs ``models:write``. Raises NotRetryable for all others."""
        try:
            return await self._steer(caller, "download.retry", download_id, self._steering.retry)
        except ConstraintViolated:
            raise NotRetryable("the same files are on their way already in another download", param="id") from None

    async def archive(self, caller: Caller, download_id: str) -> Download:
        """Put one that is at its end out of sight. Idempotent. Needs ``models:write``. Raises CannotArchiveActive."""
        return await self._steer(caller, "download.archive", download_id, self._steering.archive)

    async def follow(self, caller: Caller, download_id: str) -> AsyncGenerator[Download]:
        """The download as it is now and then whenever it has changed, up to its end, whatever process is at it.

        Needs ``models:write``. Raises DownloadNotFound. A pause is no end.
        """
        await self._require(caller, "download.get")
        await self._get(download_id)
        return follow(self._events, lambda: self._look(download_id), download_id)

    async def _get(self, download_id: str) -> Download:
        async with self._database.reading() as tx:
            return await existing(tx, download_id)

    async def _look(self, download_id: str) -> Download:
        """The download; when it is complete, its files are known here too, whatever process has brought them."""
        found = await self._get(download_id)
        if found.status is DownloadStatus.COMPLETED and self._steering.is_here(found):
            await self._arrived()
        return found

    async def _present(self, caller: Caller, wanted: PullRequest, planned: Plan) -> Pulled:
        if wanted.refuse_present:
            raise FileAlreadyExists(
                f"'{planned.files[0].filename}' of '{wanted.repo}' is on the disk already",
                param="filename",
                repo=wanted.repo,
                filename=planned.files[0].filename,
            )
        await self._hub.note(wanted.repo, wanted.revision, planned.commit)
        await self._arrived()
        now = self._clock.now()
        made = new_download(self._steering.place, caller.owner_id, wanted, planned, now)
        async with self._database.transaction() as tx:
            await store.alone(tx)
            known = await store.last_completed(tx, made)
            if known is not None:
                return Pulled(known, is_new=False)
            made = replace(made, status=DownloadStatus.COMPLETED, downloaded_bytes=made.total_bytes, completed_at=now)
            await store.add(tx, made, None)
        return Pulled(made, is_new=False)

    async def _taken_up(self, caller: Caller, wanted: PullRequest, planned: Plan) -> Pulled:
        made = new_download(self._steering.place, caller.owner_id, wanted, planned, self._clock.now())
        key = store.key_of(made)
        async with self._database.reading() as tx:
            known = await store.on_its_way(tx, key)
        if known is None:
            await asyncio.to_thread(require_space, self._hub.cache, wanted.repo, planned)
        async with self._database.transaction() as tx:
            await store.alone(tx)
            known = await store.on_its_way(tx, key)
            if known is not None:
                return Pulled(await self._steering.taken_up(tx, caller, known), is_new=False)
            await self._steering.begin(tx, caller, made)
        return Pulled(made, is_new=True)

    async def _steer(self, caller: Caller, action: str, download_id: str, verb: Steer) -> Download:
        await self._require(caller, action)
        async with self._database.transaction() as tx:
            await store.alone(tx)
            before = await existing(tx, download_id)
            return await self._steering.recorded(tx, caller, action, before, await verb(tx, before))

    async def _require(self, caller: Caller, action: str) -> None:
        if Scope.MODELS_WRITE not in caller.scopes:
            await self._audit.refused(caller, action)
        caller.require(Scope.MODELS_WRITE)
