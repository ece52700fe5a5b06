"""The models that the settings name, and the demo model: what there is, and what is to be loaded for one."""

import asyncio
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

from bodhi_asgi.cache.types import Cache
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.types import AdapterSpec, ModelSpec, Speculation, SpeculationKind, Tuning
from bodhi_asgi.errors import MissingDependency
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.parts import read_model
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.models.capabilities import capabilities_of
from bodhi_asgi.models.errors import ModelFileMissing
from bodhi_asgi.models.files import locate
from bodhi_asgi.models.flags import tuned_by
from bodhi_asgi.settings.adapters import AdapterSettings
from bodhi_asgi.settings.sections import EngineSettings
from bodhi_asgi.settings.tuning import ModelSettings, adapters_of, draft_of, path_of, projector_of, tuned

DEMO: Final = "demo"


class ConfiguredModels:
    """Models named by setting, and the demo model unless it is switched off.

    A setting of the name ``demo`` takes the place of the embedded one.
    """

    def __init__(
        self, *, models: Mapping[str, str | ModelSettings], demo: bool, engine: EngineSettings, cache: Cache
    ) -> None:
        self.engine = engine
        self._cache = cache
        self._entries = dict(models)
        if demo:
            self._entries.setdefault(DEMO, str(DEMO_MODEL_PATH))

    @property
    def names(self) -> list[str]:
        """All of them, in order."""
        return sorted(self._entries)

    def offers(self, name: str) -> bool:
        """Whether the settings name such a model."""
        return name in self._entries

    def is_embedded(self, name: str) -> bool:
        """Whether it is the demo model of this package."""
        return self.reference(name) == str(DEMO_MODEL_PATH)

    def reference(self, name: str) -> str:
        """Its path or hub reference, as the settings have it."""
        return path_of(self._entries[name])

    def engine_of(self, name: str, settings: Mapping[str, Any]) -> EngineSettings:
        """How it is run, with ``settings`` of an alias in place of its own. Raises Invalid when two contradict."""
        return tuned_by(tuned(self.engine, self._entries[name]), settings)

    async def spec(self, name: str, settings: Mapping[str, Any], engine_name: str) -> ModelSpec:
        """What to load for it, under the name that its engine shall have. Raises ModelFileMissing."""
        entry = self._entries[name]
        engine = self.engine_of(name, settings)
        if engine.runner != "llama":
            return spec_of(engine_name, path_of(entry), engine)
        return await asyncio.to_thread(_located, name, entry, engine, engine_name)

    def paths(self) -> dict[str, str]:
        """Where each file of the settings really lies, of those that are there, and which model it is for. Blocking."""
        found: dict[str, str] = {}
        for name, entry in self._entries.items():
            beside = (projector_of(entry), draft_of(entry), *(adapter.path for adapter in adapters_of(entry).values()))
            for reference in (path_of(entry), *filter(None, beside)):
                with suppress(ModelFileMissing, MissingDependency, OSError):
                    found.setdefault(os.path.realpath(locate(name, reference)), name)
        return found

    async def file_status(self, name: str) -> tuple[int, int | None]:
        """When its file was changed last, in Unix seconds, and its size in bytes; 0 and None when there is none."""
        return await self._cache.get_or_compute(
            f"models.file:{name}", lambda: asyncio.to_thread(_file_status, name, self.reference(name))
        )

    async def capabilities(self, name: str) -> tuple[str, ...]:
        """What it can do by the headers of its files; nothing where they are not here or cannot be read."""
        return await self._cache.get_or_compute(
            f"models.capabilities:{name}", lambda: asyncio.to_thread(_capabilities, name, self._entries[name])
        )


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
        prefix_memory_bytes=engine.prefix_memory_bytes,
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


def _located(name: str, entry: str | ModelSettings, engine: EngineSettings, engine_name: str) -> ModelSpec:
    """The spec with every file it needs found on the disk."""
    path = locate(name, path_of(entry))
    adapters = _adapters(name, adapters_of(entry))
    projector = _beside(name, "projector", projector_of(entry))
    draft = _beside(name, "draft model", draft_of(entry))
    kind: SpeculationKind = "model" if draft else engine.speculation
    return replace(
        spec_of(engine_name, str(path), engine),
        adapters=adapters,
        projector=projector,
        speculation=Speculation(kind, engine.draft_tokens, draft),
    )


def _beside(name: str, what: str, reference: str | None) -> str:
    """Where a file is that goes with a model; empty when there is none."""
    return "" if reference is None else str(locate(f"{name}', its {what}", reference))


def _adapters(name: str, adapters: Mapping[str, AdapterSettings]) -> tuple[AdapterSpec, ...]:
    return tuple(
        AdapterSpec(one, str(locate(f"{name}', adapter '{one}", adapter.path)), adapter.scale)
        for one, adapter in adapters.items()
    )


def _capabilities(name: str, entry: str | ModelSettings) -> tuple[str, ...]:
    try:
        facts = facts_of(*read_model(locate(name, path_of(entry))))
        projector = projector_of(entry)
        eyes = None if projector is None else facts_of(*read_model(locate(name, projector)))
    except (OSError, GgufInvalid, ModelFileMissing, MissingDependency):
        return ()
    return capabilities_of(facts, eyes).names


def _file_status(name: str, reference: str) -> tuple[int, int | None]:
    try:
        status = locate(name, reference).stat()
    except (OSError, ModelFileMissing, MissingDependency):
        return 0, None
    return int(status.st_mtime), status.st_size
