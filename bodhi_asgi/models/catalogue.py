"""The list of all models that a caller may know of: settings, aliases and files, in pages, filtered and in order."""

from typing import Final, TypeAlias

from bodhi_asgi.audit.service import check_page
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Invalid
from bodhi_asgi.models import search, store
from bodhi_asgi.models.aliases import owner_of
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.discovered import DiscoveredModels, Index
from bodhi_asgi.models.search import Hit, KnownModel
from bodhi_asgi.models.types import SETTINGS_REPO, Alias, FileReference, ModelEntry, ModelQuery
from bodhi_asgi.shelf.types import LocalFile
from bodhi_asgi.types import INT64_MAX, Page

MAX_SEARCH: Final = 256


Settings: TypeAlias = tuple[tuple[str, int | None], ...]
"""The models of the settings, and the sizes of their files."""


class CatalogueService:
    """Reads all kinds of models as one list."""

    def __init__(self, *, database: Database, configured: ConfiguredModels, discovered: DiscoveredModels) -> None:
        self._database = database
        self._configured = configured
        self._discovered = discovered
        self._document: tuple[Settings, Index, str] | None = None

    async def list(self, caller: Caller, query: ModelQuery | None = None) -> Page[ModelEntry]:
        """One page of what the caller may know of. Needs ``models:read``. Raises Invalid naming the field."""
        caller.require(Scope.MODELS_READ)
        query = query or ModelQuery()
        _check(query)
        known = await self._known()
        async with self._database.reading() as tx:
            hits, total = await search.page(tx, owner_of(caller), caller.grants, query, known)
            aliases = await store.by_ids(tx, [hit.alias_id for hit in hits if hit.alias_id])
        entries = [await self._entry(caller, hit, aliases.get(hit.alias_id)) for hit in hits]
        return Page(entries, total, query.page, query.page_size)

    async def _known(self) -> str:
        """What is known without the database, as one document, made anew when it has changed."""
        settings = tuple([(name, (await self._configured.file_status(name))[1]) for name in self._configured.names])
        index = await self._discovered.index()
        if self._document is None or self._document[0] != settings or self._document[1] is not index:
            self._document = (settings, index, _document(settings, index))
        return self._document[2]

    async def _entry(self, caller: Caller, hit: Hit, alias: Alias | None) -> ModelEntry:
        return ModelEntry(
            name=hit.name,
            file=hit.file,
            access=caller.may_use(hit.name),
            alias=alias,
            size_bytes=await self._size(hit.file),
        )

    async def _size(self, file: FileReference) -> int | None:
        if file.is_setting:
            is_there = self._configured.offers(file.filename)
            return (await self._configured.file_status(file.filename))[1] if is_there else None
        found = await self._discovered.file(file.repo, file.filename, file.snapshot)
        return None if found is None else found.size_bytes


def _document(settings: Settings, index: Index) -> str:
    models = [KnownModel(name, FileReference(SETTINGS_REPO, name), size) for name, size in settings]
    models += [KnownModel(name, _reference(file), file.size_bytes) for name, file in index.named.items()]
    have_names = set(map(_reference, index.named.values()))
    others = (file for file in index.placed.values() if _reference(file) not in have_names)
    return search.document([*models, *(KnownModel("", _reference(file), file.size_bytes) for file in others)])


def _reference(file: LocalFile) -> FileReference:
    return FileReference(file.repo, file.filename, file.snapshot)


def _check(query: ModelQuery) -> None:
    check_page(query.page, query.page_size)
    if len(query.search) > MAX_SEARCH:
        raise Invalid(f"'search' has {len(query.search)} characters; at most {MAX_SEARCH} are accepted", param="search")
    for name in ("size_min", "size_max"):
        size = getattr(query, name)
        if size is not None and not 0 <= size <= INT64_MAX:
            raise Invalid(f"'{name}' is {size}: bytes from 0 to {INT64_MAX} are accepted", param=name)
