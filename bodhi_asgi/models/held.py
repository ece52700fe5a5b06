"""Keeps the files that somebody has named: in the settings, or by an alias."""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import astuple
from typing import Final

from bodhi_asgi.caller import Caller, CallerKind
from bodhi_asgi.models.aliases import AliasService, owner_of
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.discovered import DiscoveredModels
from bodhi_asgi.models.store import SHARED
from bodhi_asgi.models.types import Alias
from bodhi_asgi.shelf.holders import Hold, Intent
from bodhi_asgi.shelf.types import LocalFile

MAX_NAMED: Final = 10
"""Aliases that a refusal names."""

HOUSE: Final = (CallerKind.HOST, CallerKind.SYSTEM)


class NamedFiles:
    """A :class:`~bodhi_asgi.shelf.holders.Holder`. A projector is kept with its model."""

    def __init__(self, *, configured: ConfiguredModels, aliases: AliasService, discovered: DiscoveredModels) -> None:
        self._configured = configured
        self._aliases = aliases
        self._discovered = discovered

    async def holds(self, file: LocalFile, intent: Intent) -> Hold | None:
        """Whether the settings or somebody's aliases stand for it."""
        model = await asyncio.to_thread(self._in_settings, file)
        if model:
            return Hold(f"is the file of the model '{model}' in the settings")
        needing = [
            alias
            for alias in await self._aliases.of_repo(file.repo)
            if alias.id != intent.without and await self._stands_for(alias, file)
        ]
        if intent.force:
            needing = [alias for alias in needing if not _may_change(intent.caller, alias)]
        return _hold(needing, intent.caller) if needing else None

    async def _stands_for(self, alias: Alias, file: LocalFile) -> bool:
        found = await self._discovered.file(*astuple(alias.file))
        if found is None or found.snapshot != file.snapshot:
            return False
        return file.filename in (found.filename, found.projector)

    def _in_settings(self, file: LocalFile) -> str:
        named = self._configured.paths()
        return next((model for path in file.paths if (model := named.get(os.path.realpath(path)))), "")


def _may_change(caller: Caller, alias: Alias) -> bool:
    """Who may change an alias may also leave it without its file; the application may with any."""
    return caller.kind in HOUSE or (alias.owner_id == owner_of(caller) and caller.may_use(alias.name))


def _knows_of(caller: Caller, alias: Alias) -> bool:
    return caller.kind in HOUSE or (alias.owner_id in (owner_of(caller), SHARED) and caller.may_list(alias.name))


def _hold(needing: Sequence[Alias], caller: Caller) -> Hold:
    """The refusal, which names what the caller may know of, and only says that there is more."""
    names = tuple(sorted({alias.name for alias in needing if _knows_of(caller, alias)}))[:MAX_NAMED]
    told = [f"the alias '{name}'" for name in names]
    others = len(needing) - len(names)
    if others:
        told.append(f"{others} more" if names else f"{others} alias{'es' * (others > 1)} of others")
    verb, advice = ("stands", "that first") if len(needing) == 1 else ("stand", "those first")
    return Hold(f"is what {' and '.join(told)} {verb} for; delete {advice}", names)
