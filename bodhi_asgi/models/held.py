"""Keeps the files that somebody has named: in the settings, or by an alias."""

import asyncio
import os
from dataclasses import astuple

from bodhi_asgi.models.aliases import AliasService
from bodhi_asgi.models.configured import ConfiguredModels
from bodhi_asgi.models.discovered import DiscoveredModels
from bodhi_asgi.shelf.types import LocalFile


class NamedFiles:
    """A :class:`~bodhi_asgi.shelf.holders.Holder`. A projector is kept with its model."""

    def __init__(self, *, configured: ConfiguredModels, aliases: AliasService, discovered: DiscoveredModels) -> None:
        self._configured = configured
        self._aliases = aliases
        self._discovered = discovered

    async def holds(self, file: LocalFile) -> str:
        """Whether the settings or somebody's alias stand for it."""
        model = await asyncio.to_thread(self._in_settings, file)
        if model:
            return f"is the file of the model '{model}' in the settings"
        for reference in await self._aliases.pinned():
            if reference.repo == file.repo:
                found = await self._discovered.file(*astuple(reference))
                if (
                    found is not None
                    and found.snapshot == file.snapshot
                    and file.filename
                    in (
                        found.filename,
                        found.projector,
                    )
                ):
                    return "is what an alias stands for; delete that first"
        return ""

    def _in_settings(self, file: LocalFile) -> str:
        named = self._configured.paths()
        return next((model for path in file.paths if (model := named.get(os.path.realpath(path)))), "")
