"""The verbs on aliases: create, get, update, copy, delete, and what a name stands for among them.

Aliases belong to who made them: a person's own are his, those of the application itself are shared with all.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final, TypeAlias

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller, CallerKind, ModelForbidden, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.errors import Invalid
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import AliasCreated, AliasDeleted, AliasUpdated, Event
from bodhi_asgi.ids import is_id, new_id
from bodhi_asgi.models import store
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.discovered import DiscoveredModels
from bodhi_asgi.models.errors import AliasExists, AliasNotFound, AliasShared, TooManyAliases
from bodhi_asgi.models.flags import checked, tuned_by
from bodhi_asgi.models.names import check_alias_name, check_reference
from bodhi_asgi.models.params import RequestParams, defaults_of
from bodhi_asgi.models.types import Alias, AliasSpec, FileReference
from bodhi_asgi.settings.checks import is_model_name
from bodhi_asgi.wire.limits import RequestLimits

MAX_ALIASES: Final = 10_000
"""Of one owner."""

Bring: TypeAlias = Callable[[Transaction, Caller, FileReference], Awaitable[None]]
"""Has a file that is not here brought from the hub, once the transaction is committed."""

LOCK: Final = 0x626F6403
"""Aliases change one after the other, so that of two who want the same name one gets it, and what is gone is gone."""


class AliasService:
    """Named configurations over files and over models of the settings."""

    def __init__(
        self,
        *,
        database: Database,
        audit: AuditService,
        events: EventBus,
        clock: Clock,
        configured: ConfiguredModels,
        discovered: DiscoveredModels,
        limits: RequestLimits,
        bring: Bring | None = None,
    ) -> None:
        self._database = database
        self._audit = audit
        self._events = events
        self._clock = clock
        self._configured = configured
        self._discovered = discovered
        self._limits = limits
        self._bring = bring

    async def create(self, caller: Caller, spec: AliasSpec) -> Alias:
        """A new alias. A file of the hub that is not there yet is brought in the background.

        Needs ``models:write`` and a grant on what it stands for.

        Raises Invalid naming the field, AliasExists, TooManyAliases, ModelForbidden.
        """
        await self._require(caller, "alias.create")
        spec = await self._checked(caller, "alias.create", spec)
        return await self._add(caller, "alias.create", spec)

    async def get(self, caller: Caller, alias_id: str) -> Alias:
        """One alias that the caller sees. Needs ``models:read``. Raises AliasNotFound."""
        caller.require(Scope.MODELS_READ)
        async with self._database.reading() as tx:
            return await _seen(tx, caller, alias_id)

    async def update(self, caller: Caller, alias_id: str, spec: AliasSpec) -> Alias:
        """Replace all of an alias, its name included. From the next request on it is what it is now.

        Needs ``models:write``, and grants on the alias and on what it stands for. Raises as :meth:`create`, and
        AliasNotFound or AliasShared.
        """
        await self._require(caller, "alias.update")
        async with self._database.reading() as tx:
            before = await _seen(tx, caller, alias_id)
        await self._may_change(caller, "alias.update", before)
        spec = await self._checked(caller, "alias.update", spec)
        await self._look()
        async with self._database.transaction() as tx:
            await tx.lock(LOCK)
            alias = await _seen(tx, caller, alias_id)
            if alias.name != spec.name:
                await self._refuse_taken(tx, alias.owner_id, spec.name)
            changed = _made(spec, alias.id, alias.owner_id, alias, self._clock)
            await store.change(tx, changed)
            await self._have(tx, caller, changed.file)
            await self._told(tx, caller, "alias.update", changed, AliasUpdated(changed.id, changed.name))
        return changed

    async def copy(self, caller: Caller, alias_id: str, name: str) -> Alias:
        """The same under another name, the caller's own. Needs ``models:write`` and a grant on the alias.

        Raises AliasNotFound, AliasExists, Invalid, ModelForbidden.
        """
        await self._require(caller, "alias.copy")
        async with self._database.reading() as tx:
            alias = await _seen(tx, caller, alias_id)
        await self._may_use(caller, "alias.copy", alias.name, "alias")
        params = RequestParams.model_validate(alias.params)
        spec = AliasSpec(check_alias_name(name), alias.file, params, alias.settings, alias.keep_alive_s)
        return await self._add(caller, "alias.copy", spec)

    async def delete(self, caller: Caller, alias_id: str) -> Alias:
        """Remove an alias; its file stays. Needs ``models:write`` and a grant on it.

        Raises AliasNotFound, AliasShared, ModelForbidden.
        """
        await self.deletable(caller, alias_id)
        async with self._database.transaction() as tx:
            await tx.lock(LOCK)
            alias = await _seen(tx, caller, alias_id)
            await store.remove(tx, alias.id)
            await self._told(tx, caller, "alias.delete", alias, AliasDeleted(alias.id, alias.name))
        return alias

    async def deletable(self, caller: Caller, alias_id: str) -> Alias:
        """An alias that the caller may delete. Raises as :meth:`delete`, and changes nothing."""
        await self._require(caller, "alias.delete")
        async with self._database.reading() as tx:
            alias = await _seen(tx, caller, alias_id)
        await self._may_change(caller, "alias.delete", alias)
        return alias

    async def find(self, caller: Caller, name: str) -> Alias | None:
        """The alias that this name means to the caller. For the house: no permission is asked."""
        if not is_model_name(name):
            return None
        async with self._database.reading() as tx:
            return await store.named(tx, name, owner_of(caller))

    async def seen(self, caller: Caller) -> list[Alias]:
        """Every alias that the caller sees, own ones before those of the application. For the house."""
        async with self._database.reading() as tx:
            return await store.seen(tx, owner_of(caller))

    async def of_repo(self, repo: str) -> list[Alias]:
        """Anybody's aliases that stand for files of this repository, by name. For the house."""
        async with self._database.reading() as tx:
            return await store.of_repo(tx, repo)

    async def _add(self, caller: Caller, action: str, spec: AliasSpec) -> Alias:
        owner_id = owner_of(caller)
        await self._look()
        async with self._database.transaction() as tx:
            await tx.lock(LOCK)
            await self._refuse_taken(tx, owner_id, spec.name)
            if await store.count(tx, owner_id) >= MAX_ALIASES:
                raise TooManyAliases(f"there are {MAX_ALIASES} aliases, and no more are kept; delete some first")
            alias = _made(spec, new_id(), owner_id, None, self._clock)
            await store.add(tx, alias)
            await self._have(tx, caller, alias.file)
            await self._told(tx, caller, action, alias, AliasCreated(alias.id, alias.name))
        return alias

    async def _checked(self, caller: Caller, action: str, spec: AliasSpec) -> AliasSpec:
        """The spec with all that can be known of it checked, and its revision named where the file is there."""
        check_alias_name(spec.name)
        file, settings = check_reference(spec.file), checked(spec.settings, "settings")
        try:
            defaults_of(spec.params, self._limits)
        except Invalid as error:
            raise Invalid(error.message, param=f"request_params.{error.param}") from None
        if file.is_setting:
            if not self._configured.offers(file.filename):
                raise Invalid(f"the settings name no model {file.filename[:60]!r}", param="filename")
            await self._may_use(caller, action, file.filename, "filename")
            self._configured.engine_of(file.filename, settings)
            return replace(spec, settings=settings)
        await self._may_use(caller, action, await self._discovered.name_of(file.repo, file.filename), "filename")
        tuned_by(self._configured.engine, settings)
        found = await self._discovered.file(file.repo, file.filename, file.snapshot)
        file = file if found is None else replace(file, snapshot=found.snapshot)
        return replace(spec, file=file, settings=settings)

    async def _look(self) -> None:
        """Have the files of this machine known, right after a start too: what is seen of them is kept in a transaction,
        which would wait for ours."""
        await self._discovered.index()

    async def _have(self, tx: Transaction, caller: Caller, file: FileReference) -> None:
        """Have the file brought here when it is missing; what comes of it stands in the list of downloads."""
        if self._bring is None or file.is_setting:
            return
        if await self._discovered.file(file.repo, file.filename, file.snapshot) is None:
            await self._bring(tx, caller, file)

    async def _refuse_taken(self, tx: Transaction, owner_id: str, name: str) -> None:
        is_taken = self._configured.offers(name) or await self._discovered.find(name) is not None
        if is_taken or await store.named(tx, name, owner_id) is not None:
            raise AliasExists(f"there is a model '{name}' already; choose another name", param="alias", alias=name)

    async def _require(self, caller: Caller, action: str) -> None:
        if Scope.MODELS_WRITE not in caller.scopes:
            await self._audit.refused(caller, action)
        caller.require(Scope.MODELS_WRITE)

    async def _may_change(self, caller: Caller, action: str, alias: Alias) -> None:
        if alias.owner_id != owner_of(caller):
            await self._audit.refused(caller, action, subject=alias.id)
            raise AliasShared(
                f"the alias '{alias.name}' belongs to the application; copy it to have one of your own",
                alias=alias.name,
            )
        await self._may_use(caller, action, alias.name, "alias")

    async def _may_use(self, caller: Caller, action: str, name: str, param: str) -> None:
        if not caller.may_use(name):
            await self._audit.refused(caller, action, subject=name)
            raise ModelForbidden(f"the caller has no grant to use the model '{name}'", param=param, model=name)

    async def _told(self, tx: Transaction, caller: Caller, action: str, alias: Alias, event: Event) -> None:
        file = alias.file
        detail = {"alias": alias.name, "repo": file.repo, "filename": file.filename, "snapshot": file.snapshot}
        await self._audit.record(tx, caller, action, subject=alias.id, detail=dict(detail))
        tx.after_commit(lambda: self._events.publish(event))


def owner_of(caller: Caller) -> str:
    """Whose aliases the caller makes; nobody's, and so everybody's, where the application itself asks."""
    return store.SHARED if caller.owner_id in (CallerKind.HOST, CallerKind.SYSTEM) else caller.owner_id


async def _seen(tx: Transaction, caller: Caller, alias_id: str) -> Alias:
    alias = await store.get(tx, alias_id, owner_of(caller)) if is_id(alias_id) else None
    if alias is None or not caller.may_list(alias.name):
        raise AliasNotFound(f"there is no alias '{alias_id[:40]}'", param="id")
    return alias


def _made(spec: AliasSpec, alias_id: str, owner_id: str, before: Alias | None, clock: Clock) -> Alias:
    now = clock.now()
    return Alias(
        id=alias_id,
        owner_id=owner_id,
        name=spec.name,
        file=spec.file,
        params=spec.params.stored(),
        settings=dict(spec.settings),
        keep_alive_s=spec.keep_alive_s,
        created_at=before.created_at if before else now,
        updated_at=now,
    )
