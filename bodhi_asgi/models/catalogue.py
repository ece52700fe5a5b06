"""The list of all models that a caller may know of: settings, aliases and files, in pages, filtered and in order."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import astuple
from types import MappingProxyType
from typing import Final, TypeAlias

from bodhi_asgi.audit.service import check_page
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Invalid
from bodhi_asgi.models import search, store
from bodhi_asgi.models.aliases import AliasService, owner_of
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.discovered import DiscoveredModels, Index
from bodhi_asgi.models.errors import ModelNotFound
from bodhi_asgi.models.search import KnownModel
from bodhi_asgi.models.types import MAIN, SETTINGS_REPO, Alias, AliasSpec, FileReference, ModelEntry, ModelQuery
from bodhi_asgi.shelf.errors import ModelFileNotFound
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.shelf.types import LocalFile, Removed
from bodhi_asgi.types import INT64_MAX, Page

MAX_SEARCH: Final = 256
NOTHING: Final[Mapping[FileReference, Sequence[str]]] = MappingProxyType({})


Settings: TypeAlias = tuple[tuple[str, int | None], ...]
"""The models of the settings, and the sizes of their files."""


class CatalogueService:
    """Reads all kinds of models as one list, and gives aliases as entries of it."""

    def __init__(
        self,
        *,
        database: Database,
        aliases: AliasService,
        configured: ConfiguredModels,
        discovered: DiscoveredModels,
        shelf: ShelfService,
    ) -> None:
        self._shelf = shelf
        self._database = database
        self._aliases = aliases
        self._configured = configured
        self._discovered = discovered
        self._document: tuple[Settings, Index, str] | None = None

    async def list(self, caller: Caller, query: ModelQuery | None = None) -> Page[ModelEntry]:
        """One page of what the caller may know of. Needs ``models:read``. Raises Invalid naming the field."""
        caller.require(Scope.MODELS_READ)
        query = query or ModelQuery()
        _check(query)
        known = await self._capable() if query.capabilities else await self._known()
        async with self._database.reading() as tx:
            hits, total = await search.page(tx, owner_of(caller), caller.grants, query, known)
            aliases = await store.by_ids(tx, [hit.alias_id for hit in hits if hit.alias_id])
        entries = await self._entries(caller, [(hit.name, hit.file, aliases.get(hit.alias_id)) for hit in hits])
        return Page(entries, total, query.page, query.page_size)

    async def get(self, caller: Caller, alias_id: str) -> ModelEntry:
        """An alias by its id; see :meth:`~bodhi_asgi.models.aliases.AliasService.get`."""
        return await self._alias(caller, await self._aliases.get(caller, alias_id))

    async def find(self, caller: Caller, name: str) -> ModelEntry:
        """What a name stands for. Needs ``models:read``. Raises ModelNotFound when unknown *or* not listable."""
        caller.require(Scope.MODELS_READ)
        found: tuple[FileReference, Alias | None] | None = None
        if caller.may_list(name):
            if self._configured.offers(name):
                found = FileReference(SETTINGS_REPO, name), None
            elif (alias := await self._aliases.find(caller, name)) is not None:
                found = alias.file, alias
            elif (file := await self._discovered.find(name)) is not None:
                found = _reference(file), None
        if found is None:
            raise ModelNotFound(f"there is no model '{name}'", param="model", model=name)
        (entry,) = await self._entries(caller, [(name, *found)])
        return entry

    async def create(self, caller: Caller, spec: AliasSpec) -> ModelEntry:
        """A new alias; see :meth:`~bodhi_asgi.models.aliases.AliasService.create`."""
        return await self._alias(caller, await self._aliases.create(caller, spec))

    async def update(self, caller: Caller, alias_id: str, spec: AliasSpec) -> ModelEntry:
        """Another alias in its place; see :meth:`~bodhi_asgi.models.aliases.AliasService.update`."""
        return await self._alias(caller, await self._aliases.update(caller, alias_id, spec))

    async def copy(self, caller: Caller, alias_id: str, name: str) -> ModelEntry:
        """The same under another name; see :meth:`~bodhi_asgi.models.aliases.AliasService.copy`."""
        return await self._alias(caller, await self._aliases.copy(caller, alias_id, name))

    async def delete(self, caller: Caller, alias_id: str, *, with_file: bool = False, force: bool = False) -> Removed:
        """Remove an alias, ``with_file`` after the file that it stands for; then ``force`` is as for a file alone.

        Where the file may not be removed, the alias stays too. Raises as the same verbs of
        :class:`~bodhi_asgi.models.aliases.AliasService` and :class:`~bodhi_asgi.shelf.service.ShelfService` do, and
        Invalid for a model of the settings, which has no file to remove.
        """
        removed = Removed(0, 0)
        if with_file:
            alias = await self._aliases.deletable(caller, alias_id)
            if alias.file.is_setting:
                raise Invalid(
                    f"'{alias.name}' stands for the model '{alias.file.filename}' of the settings, whose file is not "
                    "removed; delete the alias alone",
                    param="with_file",
                )
            with suppress(ModelFileNotFound):
                removed = await self._shelf.delete(caller, *astuple(alias.file), force=force, without=alias.id)
        await self._aliases.delete(caller, alias_id)
        return removed

    async def _known(self) -> str:
        """What is known without the database, as one document, made anew when it has changed."""
        settings, index = await self._settings(), await self._discovered.index()
        if self._document is None or self._document[0] != settings or self._document[1] is not index:
            self._document = (settings, index, _document(settings, index))
        return self._document[2]

    async def _capable(self) -> str:
        """The same with what each can do, which is asked for rarely and changes as headers are read."""
        settings = await self._settings()
        index = await self._discovered.index()
        known = await self._discovered.known(index.placed.values())
        can = {_reference(file): shelved.capabilities for file, shelved in known.items()}
        for name in self._configured.names:
            can[FileReference(SETTINGS_REPO, name)] = await self._configured.capabilities(name)
        return _document(settings, index, can)

    async def _alias(self, caller: Caller, alias: Alias) -> ModelEntry:
        (entry,) = await self._entries(caller, [(alias.name, alias.file, alias)])
        return entry

    async def _entries(
        self, caller: Caller, found: Sequence[tuple[str, FileReference, Alias | None]]
    ) -> Sequence[ModelEntry]:
        files = [await self._discovered.file(*astuple(file)) for _, file, _ in found]
        known = await self._discovered.known([file for file in files if file is not None])
        return [
            ModelEntry(
                name=name,
                file=reference,
                access=caller.may_use(name),
                alias=alias,
                size_bytes=await self._size(reference) if file is None else file.size_bytes,
                known=None if file is None else known.get(file),
            )
            for (name, reference, alias), file in zip(found, files, strict=True)
        ]

    async def _settings(self) -> Settings:
        return tuple([(name, (await self._configured.file_status(name))[1]) for name in self._configured.names])

    async def _size(self, file: FileReference) -> int | None:
        """Of the file of a setting."""
        if not (file.is_setting and self._configured.offers(file.filename)):
            return None
        return (await self._configured.file_status(file.filename))[1]


def _document(settings: Settings, index: Index, can: Mapping[FileReference, Sequence[str]] = NOTHING) -> str:
    def known(name: str, file: LocalFile) -> KnownModel:
        reference = _reference(file)
        return KnownModel(name, reference, file.size_bytes, tuple(can.get(reference, ())))

    models = []
    for name, size in settings:
        reference = FileReference(SETTINGS_REPO, name)
        models.append(KnownModel(name, reference, size, tuple(can.get(reference, ()))))
    models += [known(name, file) for name, file in index.named.items()]
    have_names = set(map(_reference, index.named.values()))
    models += [known("", file) for file in index.placed.values() if _reference(file) not in have_names]
    for (repo, filename), file in _current(index).items():
        # What aliases stand for that were made before the file was here.
        can_do = tuple(can.get(_reference(file), ()))
        models.append(KnownModel("", FileReference(repo, filename), file.size_bytes, can_do))
    return search.document(models)


def _current(index: Index) -> Mapping[tuple[str, str], LocalFile]:
    """The files that ``main`` means where they are known by other revisions only."""
    found: dict[tuple[str, str], LocalFile] = {}
    for file in index.placed.values():
        key = (file.repo, file.filename)
        before = found.get(key)
        if (*key, MAIN) in index.placed:
            continue
        if before is None or (file.is_current, file.snapshot) > (before.is_current, before.snapshot):
            found[key] = file
    return found


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
