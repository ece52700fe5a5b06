"""Keeps the files of loaded models: of all engines that share the data directory, whoever started them."""

import asyncio
import os

from bodhi_asgi.engine.pool import EnginePool
from bodhi_asgi.engine.types import EngineStatus
from bodhi_asgi.shelf.holders import Hold, Intent
from bodhi_asgi.shelf.types import LocalFile


class LoadedFiles:
    """A :class:`~bodhi_asgi.shelf.holders.Holder`."""

    def __init__(self, engines: EnginePool) -> None:
        self._engines = engines

    async def holds(self, file: LocalFile, intent: Intent) -> Hold | None:  # noqa: ARG002  nobody may take it
        """Whether an engine is loaded from it, or from another name of the same bytes."""
        loaded = [status for status in await self._engines.engines() if status.files]
        if not loaded:
            return None
        model = await asyncio.to_thread(_model_of, file, loaded)
        return Hold(f"is loaded as the model '{model}'; unload that first") if model else None


def _model_of(file: LocalFile, loaded: list[EngineStatus]) -> str:
    own = {os.path.realpath(path) for path in file.paths}
    for status in loaded:
        if any(os.path.realpath(path) in own for path in status.files):
            return status.model
    return ""
