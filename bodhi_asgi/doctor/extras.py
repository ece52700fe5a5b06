"""Which optional dependencies are installed, what each missing one would give, and which the settings ask for."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Final

from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped
from bodhi_asgi.models.files import HUB_REFERENCE
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.settings.tuning import path_of

CHECK: Final = "extras"


@dataclass(frozen=True, slots=True)
class Extra:
    """An optional dependency: the modules that show that it is there, and what it is good for."""

    modules: tuple[str, ...]
    gives: str


LATER: Final = "is declared for a feature that is not here yet"

EXTRAS: Final[Mapping[str, Extra]] = MappingProxyType(
    {
        "llama": Extra(("llama_cpp", "llguidance", "numpy", "jinja2"), "runs models here, with llama.cpp"),
        "server": Extra(("uvicorn",), "listens for HTTP without a host: bodhi serve, enable_http"),
        "cli": Extra(("click", "rich", "yaml"), "gives the command line, and settings files in YAML"),
        "fastapi": Extra(("fastapi",), "gives the helpers for FastAPI (bodhi_fastapi)"),
        "django": Extra(("django",), "gives the helpers for Django (bodhi_django)"),
        "litestar": Extra(("litestar",), LATER),
        "quart": Extra(("quart",), LATER),
        "hub": Extra(("huggingface_hub",), "finds models in the Hugging Face cache by owner/repo/file.gguf"),
        "auth": Extra(("authlib", "joserfc"), LATER),
        "postgres": Extra(("asyncpg",), "keeps the data in PostgreSQL"),
        "redis": Extra(("redis",), LATER),
        "metrics": Extra(("prometheus_client",), "serves the metrics for Prometheus"),
        "otel": Extra(("opentelemetry",), LATER),
        "mcp": Extra(("mcp",), LATER),
    }
)


def examine(case: Case) -> list[Finding]:
    """One finding for all that are installed, and one for each that is not."""
    missing = {name: gone for name, extra in EXTRAS.items() if (gone := absent(extra))}
    needed = {} if case.settings is None else needs(case.settings)
    present = [name for name in EXTRAS if name not in missing]
    findings = [ok(CHECK, f"installed: {', '.join(present) or 'none'}", installed=list(present))]
    for name, modules in missing.items():
        install = f"pip install 'bodhi-asgi[{name}]'"
        told = f"not installed ({', '.join(modules)}); it {EXTRAS[name].gives}"
        if name in needed:
            found, advice = f"{told}; {needed[name]}", f"Run: {install}"
            findings.append(failed(CHECK, found, advice, subject=name, missing=list(modules)))
        else:
            advice = "" if EXTRAS[name].gives == LATER else f"If you want that: {install}"
            findings.append(skipped(CHECK, told, advice, subject=name, missing=list(modules)))
    return findings


def absent(extra: Extra) -> list[str]:
    """The modules of ``extra`` that cannot be imported; nothing is imported to see."""
    return [name for name in extra.modules if find_spec(name) is None]


def is_installed(name: str) -> bool:
    """Whether the extra of this name is there."""
    return not absent(EXTRAS[name])


def needs(config: BodhiServerConfig) -> dict[str, str]:
    """The extras without which these settings do not work, each with the reason."""
    found: dict[str, str] = {}
    if config.engine.runner == "llama" and (config.demo or config.models):
        found["llama"] = "the models of these settings need it"
    if config.enable_http:
        found["server"] = "enable_http needs it"
    if not config.resolved_database_url.startswith("sqlite"):
        found["postgres"] = "database_url needs it"
    by_hub = [
        name
        for name, entry in config.models.items()
        if HUB_REFERENCE.fullmatch(path_of(entry)) and not Path(path_of(entry)).is_file()
    ]
    if by_hub:
        found["hub"] = f"the model '{by_hub[0]}' needs it"
    return found
