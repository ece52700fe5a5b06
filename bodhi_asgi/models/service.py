"""The verbs on models: list, get, and the one place where a name becomes something that can be loaded."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from bodhi_asgi.cache.types import Cache
from bodhi_asgi.caller import Caller, ModelForbidden, Scope
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.types import AdapterSpec, ModelSpec, RunnerName, Speculation, SpeculationKind, Tuning
from bodhi_asgi.messages.cards import ModelCard, ModelSource
from bodhi_asgi.models.errors import ModelFileMissing, ModelNotFound
from bodhi_asgi.models.files import locate
from bodhi_asgi.settings.adapters import AdapterSettings
from bodhi_asgi.settings.sections import EngineSettings
from bodhi_asgi.settings.tuning import ModelSettings, adapters_of, draft_of, path_of, projector_of, tuned

DEMO: Final = "demo"


class ModelService:
    """Models named by setting, and the demo model unless it is switched off.

    A setting of the name ``demo`` takes the place of the embedded one.
    """

    def __init__(
        self, *, models: Mapping[str, str | ModelSettings], demo: bool, engine: EngineSettings, cache: Cache
    ) -> None:
        self._cache = cache
        self._references = {name: path_of(entry) for name, entry in models.items()}
        self._engines = {name: tuned(engine, entry) for name, entry in models.items()}
        self._adapters = {name: adapters_of(entry) for name, entry in models.items()}
        self._projectors = {name: projector_of(entry) for name, entry in models.items()}
        self._drafts = {name: draft_of(entry) for name, entry in models.items()}
        if demo:
            self._references.setdefault(DEMO, str(DEMO_MODEL_PATH))
            self._engines.setdefault(DEMO, engine)

    def offers(self, name: str) -> bool:
        """Whether the settings name such a model."""
        return name in self._references

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
        engine = self._engines[name]
        runner: RunnerName = engine.runner
        if runner != "llama":
            return spec_of(name, reference, engine)
        path = await asyncio.to_thread(locate, name, reference)
        adapters = await asyncio.to_thread(_located, name, self._adapters.get(name, {}))
        projector = await asyncio.to_thread(_beside, name, "projector", self._projectors.get(name))
        draft = await asyncio.to_thread(_beside, name, "draft model", self._drafts.get(name))
        kind: SpeculationKind = "model" if draft else engine.speculation
        return replace(
            spec_of(name, str(path), engine),
            adapters=adapters,
            projector=projector,
            speculation=Speculation(kind, engine.draft_tokens, draft),
        )

    async def _card(self, caller: Caller, name: str) -> ModelCard:
        reference = self._references[name]
        embedded = reference == str(DEMO_MODEL_PATH)
        source: ModelSource = "demo" if embedded else "setting"
        created = await self._cache.get_or_compute(
            f"models.file_time:{name}", lambda: asyncio.to_thread(_file_time_s, name, reference)
        )
        return ModelCard(id=name, source=source, created=created, usable=caller.may_use(name))


def spec_of(name: str, path: str, engine: EngineSettings) -> ModelSpec:
    """What the engine is told of a model and of how to run it."""
    return ModelSpec(
        name=name,
        path=path,
        runner=engine.runner,
        n_ctx=engine.n_ctx,
        n_batch=engine.n_batch,
        slots=engine.slots,
        threads=engine.threads,
        queue_limit=engine.queue_limit,
        queue_limit_per_owner=engine.queue_limit_per_caller,
        n_gpu_layers=engine.n_gpu_layers,
        memory_bytes=engine.memory_bytes,
        keep_alive_s=engine.keep_alive_s,
        speculation=Speculation(engine.speculation, engine.draft_tokens),
        prefix_sharing="owner" if engine.prefix_sharing == "caller" else engine.prefix_sharing,
        tuning=Tuning(
            n_ubatch=engine.n_ubatch,
            threads_batch=engine.threads_batch,
            cache_type_k=engine.cache_type_k,
            cache_type_v=engine.cache_type_v,
            flash_attention=engine.flash_attention,
            split_mode=engine.split_mode,
            tensor_split=engine.tensor_split,
            main_gpu=engine.main_gpu,
            rope_scaling=engine.rope_scaling,
            rope_freq_base=engine.rope_freq_base,
            rope_freq_scale=engine.rope_freq_scale,
            yarn_orig_ctx=engine.yarn_orig_ctx,
            load_mode=engine.load_mode,
            pooling=engine.pooling,
        ),
    )


def _beside(name: str, what: str, reference: str | None) -> str:
    """Where a file is that goes with a model; empty when there is none."""
    return "" if reference is None else str(locate(f"{name}', its {what}", reference))


def _located(name: str, adapters: Mapping[str, AdapterSettings]) -> tuple[AdapterSpec, ...]:
    return tuple(
        AdapterSpec(one, str(locate(f"{name}', adapter '{one}", adapter.path)), adapter.scale)
        for one, adapter in adapters.items()
    )


def _not_found(name: str) -> ModelNotFound:
    return ModelNotFound(f"there is no model '{name}' that the caller may use", param="model", model=name)


def _file_time_s(name: str, reference: str) -> int:
    try:
        return int(locate(name, reference).stat().st_mtime)
    except (OSError, ModelFileMissing):
        return 0
