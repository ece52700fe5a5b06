"""The verbs on the model files of this machine: list them, and have their headers read anew."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final, Literal

from bodhi_asgi.audit.service import AuditService, check_page
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.search import check_search
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.shelf import store
from bodhi_asgi.shelf.disposal import Disposal
from bodhi_asgi.shelf.errors import ModelFileUnreadable
from bodhi_asgi.shelf.eviction import Eviction
from bodhi_asgi.shelf.facts import Capable
from bodhi_asgi.shelf.holders import Holder, Intent
from bodhi_asgi.shelf.names import chosen, not_found
from bodhi_asgi.shelf.queries import Queries
from bodhi_asgi.shelf.shelf import Shelf
from bodhi_asgi.shelf.types import MAIN, FileQuery, LocalFile, Place, Removed, ShelvedFile
from bodhi_asgi.shelf.uses import Uses
from bodhi_asgi.types import INT64_MAX, Page

MAX_SEARCH: Final = 256
SORTS: Final = ("repo", "filename", "snapshot", "size")
CAPABILITIES: Final = frozenset(("completion", "tools", "thinking", "vision", "audio", "infill", "embedding", "rerank"))


class ShelfService:
    """What lies in the Hugging Face cache and in plain folders, looked at again every ``watch_s`` seconds.

    While the files of the cache have more than ``max_cache_bytes`` (0: without limit), the least recently used go.
    """

    def __init__(
        self,
        places: Sequence[Place],
        *,
        database: Database,
        audit: AuditService,
        events: EventBus,
        clock: Clock,
        watch_s: float,
        capable: Capable,
        max_cache_bytes: int = 0,
    ) -> None:
        self._database = database
        self._audit = audit
        self._pages: Queries[Page[ShelvedFile]] = Queries(clock)
        self._shelf = Shelf(
            places,
            database=database,
            events=events,
            clock=clock,
            watch_s=watch_s,
            capable=capable,
            changed=self._changed,
        )
        self._uses = Uses(
            database=database, clock=clock, files=self._shelf.files, key=self._shelf.key, kept=self._pages.invalidate
        )
        cache = next(place.path for place in places if place.is_cache)
        self._disposal = Disposal(cache, self._shelf, database, audit, events)
        self._eviction = Eviction(
            shelf=self._shelf, disposal=self._disposal, database=database, clock=clock, max_bytes=max_cache_bytes
        )

    def start(self) -> None:
        """Begin to look; who asks before the first look is over waits for it."""
        self._shelf.start()
        self._uses.start()
        self._eviction.start()

    async def aclose(self) -> None:
        """Look no more. Idempotent."""
        await self._eviction.aclose()
        await self._uses.aclose()
        await self._shelf.aclose()

    def note_use(self, paths: Iterable[str]) -> None:
        """Somebody works with the files at these paths. For the house; costs next to nothing."""
        self._uses.note(paths)

    def ask(self, holder: Holder) -> None:
        """Ask this one too before a file is removed."""
        self._disposal.holders.append(holder)

    async def files(self) -> tuple[LocalFile, ...]:
        """Every file as it was seen last, by repository, name and snapshot. For the house: no permission is asked.

        The same tuple until something changes. A ``problem`` includes what a file's header told, once it is read.
        """
        return await self._shelf.files()

    async def look(self) -> tuple[LocalFile, ...]:
        """Every file as it is now, when somebody has just put or removed one. For the house."""
        return await self._shelf.look()

    async def find(self, repo: str, filename: str, snapshot: str = MAIN) -> LocalFile | None:
        """The file of this name. For the house.

        ``main`` is the snapshot that the cache knows as such; where that has no such file, the last by its hash.
        """
        return chosen(await self.files(), repo, filename, snapshot)

    async def known(self, files: Iterable[LocalFile]) -> Mapping[LocalFile, ShelvedFile]:
        """What is known of these files, of those in the table. For the house."""
        keys = {self._shelf.key(file): file for file in files}
        async with self._database.reading() as tx:
            found = await store.by_keys(tx, keys)
        return {keys[key]: shelved for key, shelved in found.items()}

    async def list(self, caller: Caller, query: FileQuery | None = None) -> Page[ShelvedFile]:
        """One page of the files of the models that the caller may list. Needs ``models:read``.

        Raises Invalid naming the field.
        """
        caller.require(Scope.MODELS_READ)
        query = query or FileQuery()
        check(query)
        await self._shelf.kept()
        grants = caller.grants

        async def ask() -> Page[ShelvedFile]:
            async with self._database.reading() as tx:
                files, total = await store.page(tx, self._shelf.id, grants, query)
            return Page(tuple(files), total, query.page, query.page_size)

        return await self._pages.answer((grants, query), ask)

    async def refresh(self, caller: Caller) -> None:
        """Look now, and have every header read anew in the background. Needs ``models:write``."""
        await self._require(caller, Scope.MODELS_WRITE, "model_files.refresh")
        await self._shelf.look()
        async with self._database.transaction() as tx:
            await store.forget_facts(tx, self._shelf.id)
            await self._audit.record(tx, caller, "model_files.refresh")
        self._pages.invalidate()
        self._shelf.reader.wake()

    async def refresh_file(self, caller: Caller, repo: str, filename: str, snapshot: str = MAIN) -> ShelvedFile:
        """Read one file's header now. Needs ``models:write``. Raises ModelFileNotFound and ModelFileUnreadable."""
        await self._require(caller, Scope.MODELS_WRITE, "model_files.refresh")
        file = chosen(await self._shelf.look(), repo, filename, snapshot)
        if file is None:
            raise not_found(repo, filename)
        key = self._shelf.key(file)
        if not self._shelf.is_readable(file):
            raise _unreadable(filename, file.problem)
        told = await self._shelf.reader.describe(key, file)
        async with self._database.reading() as tx:
            shelved = await store.get(tx, key)
        if shelved is None:
            raise not_found(repo, filename)
        if told.problem:
            raise _unreadable(filename, told.problem)
        return shelved

    async def queue_status(self, caller: Caller) -> Literal["idle", "processing"]:
        """Whether headers are still to be read. Needs ``models:read``."""
        caller.require(Scope.MODELS_READ)
        async with self._database.reading() as tx:
            return "processing" if await store.has_unread(tx, self._shelf.id) else "idle"

    async def delete(
        self,
        caller: Caller,
        repo: str,
        filename: str,
        snapshot: str = MAIN,
        *,
        force: bool = False,
        without: str = "",
    ) -> Removed:
        """Remove a file from the cache; see :meth:`Disposal.delete` for what it needs and raises.

        ``force`` and ``without`` are those of an :class:`~bodhi_asgi.shelf.holders.Intent`.
        """
        return await self._disposal.delete(Intent(caller, force, without), repo, filename, snapshot)

    def _changed(self) -> None:
        self._pages.invalidate()
        self._eviction.wake()

    async def _require(self, caller: Caller, scope: Scope, action: str) -> None:
        if scope not in caller.scopes:
            await self._audit.refused(caller, action)
        caller.require(scope)


def _unreadable(filename: str, problem: str) -> ModelFileUnreadable:
    return ModelFileUnreadable(f"'{filename[:200]}' is no model that can be used: {problem}")


def check(query: FileQuery) -> None:
    """Raises Invalid naming the field."""
    check_page(query.page, query.page_size)
    if query.sort not in SORTS:
        raise Invalid(f"'sort' is {query.sort[:40]!r}: one of {', '.join(SORTS)} is accepted", param="sort")
    check_search(query.search, MAX_SEARCH)
    if unknown := set(query.capabilities) - CAPABILITIES:
        raise Invalid(
            f"'capability' is {min(unknown)[:40]!r}: {', '.join(sorted(CAPABILITIES))} are accepted", param="capability"
        )
    for name, size in (("size_min", query.size_min), ("size_max", query.size_max)):
        if size is not None and not 0 <= size <= INT64_MAX:
            raise Invalid(f"'{name}' is {size}: bytes from 0 to {INT64_MAX} are accepted", param=name)
