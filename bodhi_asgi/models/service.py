"""The verbs on models: list, get, and the one place where a name becomes something that can be loaded.

A name is looked for in the settings, among the aliases that the caller sees, and among the files of this machine.
"""

from collections.abc import Mapping
from dataclasses import astuple, replace
from typing import Any, Final

from bodhi_asgi.caller import Caller, ModelForbidden, Scope
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.messages.cards import ModelCard, ModelSource
from bodhi_asgi.models.aliases import AliasService
from bodhi_asgi.models.configured import ConfiguredModels, spec_of
from bodhi_asgi.models.discovered import DiscoveredModels
from bodhi_asgi.models.errors import ModelFileMissing, ModelNotFound
from bodhi_asgi.models.flags import tuned_by
from bodhi_asgi.models.params import STORED, RequestParams, defaults_of
from bodhi_asgi.models.types import Alias, FileReference, Resolved
from bodhi_asgi.shelf.types import LocalFile

NANOSECONDS: Final = 1_000_000_000


class ModelService:
    """Everything that has a name. ``aliases`` and ``discovered`` are left out where only the settings count."""

    def __init__(
        self,
        *,
        configured: ConfiguredModels,
        aliases: AliasService | None = None,
        discovered: DiscoveredModels | None = None,
    ) -> None:
        self._configured = configured
        self._aliases = aliases
        self._discovered = discovered

    async def offers(self, caller: Caller, name: str) -> bool:
        """Whether the name means anything to the caller."""
        if self._configured.offers(name) or await self._alias(caller, name) is not None:
            return True
        return await self._file(name) is not None

    async def list(self, caller: Caller) -> list[ModelCard]:
        """The models the caller may know of, by name; those it may not use are marked. Needs ``models:read``."""
        caller.require(Scope.MODELS_READ)
        cards = {name: await self._configured_card(caller, name) for name in self._configured.names}
        for alias in [] if self._aliases is None else await self._aliases.seen(caller):
            cards.setdefault(alias.name, _alias_card(caller, alias))
        for name, file in ({} if self._discovered is None else (await self._discovered.index()).named).items():
            cards.setdefault(name, _file_card(caller, name, file))
        return [cards[name] for name in sorted(cards) if caller.may_list(name)]

    async def get(self, caller: Caller, name: str) -> ModelCard:
        """One model. Needs ``models:read``. Raises ModelNotFound when unknown *or* not listable, never Forbidden."""
        caller.require(Scope.MODELS_READ)
        if caller.may_list(name):
            if self._configured.offers(name):
                return await self._configured_card(caller, name)
            if (alias := await self._alias(caller, name)) is not None:
                return _alias_card(caller, alias)
            if (file := await self._file(name)) is not None:
                return _file_card(caller, name, file)
        raise _not_found(name)

    async def resolve(self, caller: Caller, name: str) -> Resolved:
        """What to load for ``name``, and what fills requests. Grants are asked after the name is resolved.

        Raises ModelNotFound, :class:`~bodhi_asgi.caller.ModelForbidden`, or ModelFileMissing.
        """
        is_configured = self._configured.offers(name)
        alias = None if is_configured else await self._alias(caller, name)
        file = None if is_configured or alias is not None else await self._file(name)
        if not is_configured and alias is None and file is None:
            raise _not_found(name)
        if not caller.may_use(name):
            raise ModelForbidden(f"the caller has no grant to use the model '{name}'", param="model", model=name)
        if alias is not None:
            return await self._of_alias(alias)
        if file is not None:
            return Resolved(await self._file_spec(name, file, {}, name))
        return Resolved(await self._configured.spec(name, {}, name))

    async def engine_name(self, caller: Caller, name: str) -> str:
        """Under which name the engine behind ``name`` runs: aliases without settings of their own share one."""
        alias = None if self._configured.offers(name) else await self._alias(caller, name)
        return name if alias is None else await self._engine_name(alias)

    async def _of_alias(self, alias: Alias) -> Resolved:
        params = RequestParams.model_validate(alias.params)
        defaults = defaults_of(params, STORED, alias.keep_alive_s)
        engine_name = await self._engine_name(alias)
        if alias.file.is_setting:
            base = alias.file.filename
            if not self._configured.offers(base):
                raise ModelFileMissing(f"model '{alias.name}': the settings name no model '{base}' any more")
            return Resolved(await self._configured.spec(base, alias.settings, engine_name), defaults)
        file = await self._place(alias.file)
        if file is None:
            where = f"'{alias.file.filename}' of '{alias.file.repo}' at '{alias.file.snapshot}'"
            raise ModelFileMissing(f"model '{alias.name}': {where} is not on this machine", model=alias.name)
        return Resolved(await self._file_spec(alias.name, file, alias.settings, engine_name), defaults)

    async def _engine_name(self, alias: Alias) -> str:
        """The name of what the alias stands for, as long as it is run in no other way and is that very file."""
        if alias.settings:
            return alias.name
        if alias.file.is_setting:
            return alias.file.filename
        if self._discovered is None:
            return alias.name
        base = await self._discovered.name_of(alias.file.repo, alias.file.filename)
        usual = await self._discovered.find(base)
        return base if usual is not None and usual == await self._place(alias.file) else alias.name

    async def _file_spec(self, name: str, file: LocalFile, settings: Mapping[str, Any], engine_name: str) -> ModelSpec:
        assert self._discovered is not None, "files are found where there is somewhere to look"
        if file.problem:
            raise ModelFileMissing(f"model '{name}': '{file.filename}' cannot be loaded: {file.problem}", model=name)
        projector = await self._discovered.projector(file)
        spec = spec_of(engine_name, str(file.path), tuned_by(self._configured.engine, settings))
        return spec if projector is None else replace(spec, projector=str(projector.path))

    async def _alias(self, caller: Caller, name: str) -> Alias | None:
        return None if self._aliases is None else await self._aliases.find(caller, name)

    async def _file(self, name: str) -> LocalFile | None:
        return None if self._discovered is None else await self._discovered.find(name)

    async def _place(self, file: FileReference) -> LocalFile | None:
        return None if self._discovered is None else await self._discovered.file(*astuple(file))

    async def _configured_card(self, caller: Caller, name: str) -> ModelCard:
        source: ModelSource = "demo" if self._configured.is_embedded(name) else "setting"
        created, _ = await self._configured.file_status(name)
        return ModelCard(id=name, source=source, created=created, usable=caller.may_use(name))


def _alias_card(caller: Caller, alias: Alias) -> ModelCard:
    created = int(alias.created_at.timestamp())
    return ModelCard(id=alias.name, source="alias", created=created, usable=caller.may_use(alias.name))


def _file_card(caller: Caller, name: str, file: LocalFile) -> ModelCard:
    created = file.modified_ns // NANOSECONDS
    return ModelCard(id=name, source="file", created=created, usable=caller.may_use(name))


def _not_found(name: str) -> ModelNotFound:
    return ModelNotFound(f"there is no model '{name}' that the caller may use", param="model", model=name)
