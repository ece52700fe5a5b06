"""The verbs on models: list, get, and the one place where a name becomes something that can be loaded."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bodhi_asgi.cache.types import Cache
from bodhi_asgi.caller import Caller, ModelForbidden, Scope
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.types import ModelSpec, RunnerName
from bodhi_asgi.messages import ModelCard, ModelSource
from bodhi_asgi.models.errors import ModelFileMissing, ModelNotFound
from bodhi_asgi.models.files import locate
from bodhi_asgi.settings.sections import EngineSettings

DEMO: Final = "demo"


class ModelService:
    """Models named by setting, and the demo model unless it is switched off.

    A setting of the name ``demo`` takes the place of the embedded one.
    """

    def __init__(self, *, models: Mapping[str, str], demo: bool, engine: EngineSettings, cache: Cache) -> None:
        self._engine = engine
        self._cache = cache
        self._references = dict(models)
        if demo:
            self._references.setdefault(DEMO, str(DEMO_MODEL_PATH))

    async def list(self, caller: Caller) -> list[ModelCard]:
        """The models the caller may know of, by name; those it may not use are marked. Needs ``models:read``."""
        caller.require(Scope.MODELS_READ)
        names = [name for name in sorted(self._references) if caller.may_list(name)]
        return [await self._card(caller, name) for name in names]

    async def get(self, caller: Caller, name: str) -> ModelCard:
        """One model. Needs ``models:read``. Raises ModelNotFound when unknown *or* not listable, never Forbidden."""
        caller.require(Scope.MODELS_READ)
        if name not in self._references or not caller.may_list(name):
            raise _not_found(name)
        return await self._card(caller, name)

    async def resolve(self, caller: Caller, name: str) -> ModelSpec:
        """What to load for ``name``. Grants are asked after the name is resolved.

        Raises ModelNotFound, :class:`~bodhi_asgi.caller.ModelForbidden`, or ModelFileMissing.
        """
        reference = self._references.get(name)
        if reference is None:
            raise _not_found(name)
        if not caller.may_use(name):
            raise ModelForbidden(f"the caller has no grant to use the model '{name}'", param="model", model=name)
        runner: RunnerName = self._engine.runner
        path = await asyncio.to_thread(locate, name, reference) if runner == "llama" else Path(reference)
        return ModelSpec(
            name=name,
            path=str(path),
            runner=runner,
            n_ctx=self._engine.n_ctx,
            n_batch=self._engine.n_batch,
            slots=self._engine.slots,
            threads=self._engine.threads,
            queue_limit=self._engine.queue_limit,
            queue_limit_per_owner=self._engine.queue_limit_per_caller,
            n_gpu_layers=self._engine.n_gpu_layers,
            memory_bytes=self._engine.memory_bytes,
        )

    async def _card(self, caller: Caller, name: str) -> ModelCard:
        reference = self._references[name]
        embedded = reference == str(DEMO_MODEL_PATH)
        source: ModelSource = "demo" if embedded else "setting"
        created = await self._cache.get_or_compute(
            f"models.file_time:{name}", lambda: asyncio.to_thread(_file_time_s, name, reference)
        )
        return ModelCard(id=name, source=source, created=created, usable=caller.may_use(name))


def _not_found(name: str) -> ModelNotFound:
    return ModelNotFound(f"there is no model '{name}' that the caller may use", param="model", model=name)


def _file_time_s(name: str, reference: str) -> int:
    try:
        return int(locate(name, reference).stat().st_mtime)
    except (OSError, ModelFileMissing):
        return 0
