"""The models of the settings: whether their files are there, whole, and in a form that can be loaded."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.sizes import size
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.memory import ModelMemory, model_memory
from bodhi_asgi.errors import BodhiError, MissingDependency
from bodhi_asgi.models.configured import DEMO, spec_of
from bodhi_asgi.models.files import locate
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.settings.sections import EngineSettings
from bodhi_asgi.settings.tuning import path_of, tuned

CHECK: Final = "models"


@dataclass(frozen=True, slots=True)
class ModelFile:
    """A model's file and the memory it takes, or the error that stands in the way."""

    name: str
    path: Path | None = None
    memory: ModelMemory | None = None
    error: BodhiError | None = None


def references(config: BodhiServerConfig) -> dict[str, str]:
    """What is offered, by name; the demo model as long as nothing else has its name."""
    offered = {name: path_of(entry) for name, entry in config.models.items()}
    if config.demo:
        offered.setdefault(DEMO, str(DEMO_MODEL_PATH))
    return dict(sorted(offered.items()))


def model_files(config: BodhiServerConfig) -> list[ModelFile]:
    """Every offered model with what its file says. Blocking."""
    return [
        _look_at(name, reference, tuned(config.engine, config.models.get(name, reference)))
        for name, reference in references(config).items()
    ]


def _look_at(name: str, reference: str, engine: EngineSettings) -> ModelFile:
    path: Path | None = None
    try:
        path = locate(name, reference)
        return ModelFile(name, path, model_memory(path, spec_of(name, str(path), engine)))
    except BodhiError as error:
        return ModelFile(name, path, error=error)


def examine(case: Case) -> list[Finding]:
    """One finding per model."""
    runner = case.config.engine.runner
    if runner != "llama":
        return [skipped(CHECK, f"the runner '{runner}' reads no files")]
    files = model_files(case.config)
    if not files:
        return [
            warning(CHECK, "no model is offered", "Name one in models (name=path), or leave demo on to try the server.")
        ]
    return [_finding(file) for file in files]


def _finding(file: ModelFile) -> Finding:
    if file.memory is not None:
        weights = file.memory.file_bytes
        found = f"{size(weights)}, architecture {file.memory.architecture}, at {file.path}"
        return ok(CHECK, found, subject=file.name, path=str(file.path), size_bytes=weights)
    assert file.error is not None
    if isinstance(file.error, MissingDependency):
        advice = "Install the extra, or name the file by its path."
    elif isinstance(file.error, ModelLoadFailed):
        advice = "Download or copy the file again, and compare its size or checksum with the original."
    else:
        advice = f"Put the file there, or correct the setting models (name '{file.name}')."
    path = str(file.path) if file.path is not None else None
    return failed(CHECK, file.error.message, advice, subject=file.name, path=path, code=file.error.code)
