"""The card of one model: what it is, what it can do, how it is run, and whether it fits; told from headers alone.

No engine is started for it, and nothing is written.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.errors import Invalid
from bodhi_asgi.gguf.facts import GgufFacts, facts_of
from bodhi_asgi.gguf.fit import CONTEXT_TOKENS, Fit, fit
from bodhi_asgi.gguf.parts import parts, read_model
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid
from bodhi_asgi.models.aliases import AliasService
from bodhi_asgi.models.capabilities import capabilities_of
from bodhi_asgi.models.errors import ModelFileMissing
from bodhi_asgi.models.service import ModelService
from bodhi_asgi.types import INT64_MAX


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A file of a model: its path for who manages models, else its name."""

    name: str
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ModelDetails:
    """All that is told of a model. ``parameters`` fill what requests leave open, ``system`` is said before each, and
    ``settings`` are how it is run.

    ``files`` are its own, all parts in order, and ``size_bytes`` is that of them together; ``fit`` says what it takes
    and what there is.
    """

    facts: GgufFacts
    name: str = ""
    capabilities: Sequence[str] = ()
    files: Sequence[ModelFile] = ()
    size_bytes: int = 0
    projector: GgufFacts | None = None
    projector_file: ModelFile | None = None
    fit: Fit | None = None
    parameters: Mapping[str, object] = field(default_factory=dict)
    settings: Mapping[str, object] = field(default_factory=dict)
    system: str = ""


def read_details(
    path: Path, projector: Path | None = None, *, budget_bytes: int, context_tokens: int | None = None
) -> ModelDetails:
    """What the files themselves tell; of a model in several, any stands for all. Blocking.

    ``context_tokens`` is 4,096 unless said, or as many as the model was trained for. Raises GgufInvalid, and OSError.
    """
    headers = _read(path)
    facts = facts_of(*headers)
    eyes_header = _read(projector)[0] if projector else None
    eyes = facts_of(eyes_header) if eyes_header else None
    tokens = context_tokens or min(CONTEXT_TOKENS, facts.context_length or CONTEXT_TOKENS)
    files = [_file(part) for part in parts(path)]
    return ModelDetails(
        facts=facts,
        capabilities=capabilities_of(facts, eyes).names,
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        projector=eyes,
        projector_file=_file(projector) if projector else None,
        fit=fit(headers, budget_bytes, context_tokens=tokens, projector=eyes_header),
    )


class DetailsService:
    """``budget_bytes`` says how much memory all models may take together."""

    def __init__(self, *, models: ModelService, aliases: AliasService, budget_bytes: Callable[[], int]) -> None:
        self._models = models
        self._aliases = aliases
        self._budget_bytes = budget_bytes

    async def get(self, caller: Caller, name: str, *, context_tokens: int | None = None) -> ModelDetails:
        """The card of what a request that names ``name`` would be answered with.

        Memory is counted for ``context_tokens``, 1 to 2**63 - 1. Needs ``models:read`` and a grant on the model; where
        its files lie is told to who may also write. Raises Invalid, ModelNotFound, ModelForbidden, ModelFileMissing,
        also for a model that is run without a file, and GgufInvalid.
        """
        if context_tokens is not None and not 1 <= context_tokens <= INT64_MAX:
            raise Invalid(
                f"'context_tokens' is {context_tokens}: 1 to {INT64_MAX} are accepted", param="context_tokens"
            )
        await self._models.get(caller, name)  # who may not list it hears nothing of it
        spec = (await self._models.resolve(caller, name)).spec
        if spec.runner != "llama":
            raise ModelFileMissing(f"model '{name}' has no file: it is run by '{spec.runner}'", model=name)
        projector = Path(spec.projector) if spec.projector else None
        try:
            found = await asyncio.to_thread(self._read, Path(spec.path), projector, context_tokens)
        except OSError as error:
            raise ModelFileMissing(f"model '{name}': its file cannot be read: {error.strerror}", model=name) from error
        alias = await self._aliases.find(caller, name)
        params = {} if alias is None else dict(alias.params)
        return replace(
            found if Scope.MODELS_WRITE in caller.scopes else without_places(found),
            name=name,
            system=str(params.pop("system_prompt", "")),
            parameters=params,
            settings={} if alias is None else alias.settings,
        )

    def _read(self, path: Path, projector: Path | None, context_tokens: int | None) -> ModelDetails:
        return read_details(path, projector, budget_bytes=self._budget_bytes(), context_tokens=context_tokens)


def without_places(details: ModelDetails) -> ModelDetails:
    """The same with the names of files in place of their paths."""
    files = [replace(file, name=Path(file.name).name) for file in details.files]
    eyes = details.projector_file
    return replace(details, files=files, projector_file=eyes and replace(eyes, name=Path(eyes.name).name))


def _file(path: Path) -> ModelFile:
    return ModelFile(str(path), path.stat().st_size)


def _read(path: Path) -> tuple[GgufHeader, ...]:
    try:
        return read_model(path)
    except GgufInvalid as invalid:
        raise GgufInvalid(f"'{path.name}' is no model: {invalid.message}") from None
