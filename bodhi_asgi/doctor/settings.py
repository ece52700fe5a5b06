"""The settings: which are not at their default and where they come from, and combinations that are hardly meant."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from bodhi_asgi.db.database import MEMORY_FORMS
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.types import Finding, failed, ok, warning
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.http.guard import is_loopback
from bodhi_asgi.settings.schema import BodhiServerConfig

CHECK: Final = "settings"
LEAST_CELLS_PER_SLOT: Final = 256
LONG_LIFE_DAYS: Final = 365


def examine(case: Case) -> list[Finding]:
    """What was set, then a warning for each suspicious combination."""
    if case.settings is None:
        error = case.settings_error
        told = error.message if isinstance(error, BodhiError) else f"{type(error).__name__}: {error}"
        advice = "Correct the setting; docs/reference/settings.md has each one with what it accepts."
        return [failed(CHECK, told, advice, param=error.param if isinstance(error, BodhiError) else None)]
    rows = [row for row in case.config.rows() if row.origin != "default"]
    told = ", ".join(f"{row.name} = {row.value} ({row.origin})" for row in rows) or "all at their defaults"
    changed = [{"name": row.name, "value": row.value, "origin": row.origin} for row in rows]
    return [ok(CHECK, told, changed=list(changed)), *suspicions(case.config)]


def suspicions(config: BodhiServerConfig) -> Iterator[Finding]:
    """Settings that are allowed, each by itself, and together do something that is hardly meant."""
    yield from _engine(config)
    yield from _doors(config)
    if config.resolved_database_url in MEMORY_FORMS:
        told = "the database lives in memory: tokens and the audit trail are gone when the server stops"
        yield warning(CHECK, told, "Unset database_url, or name a file or a server.", subject="database_url")
    if _is_below(config.data_dir, Path(tempfile.gettempdir())):
        told = f"{config.data_dir} lies in the folder for temporary files, which is emptied now and then"
        yield warning(CHECK, told, "Set data_dir to a folder that lasts.", subject="data_dir")
    if config.tokens.lifetime_days > LONG_LIFE_DAYS:
        told = f"tokens live {config.tokens.lifetime_days} days unless their maker says otherwise"
        advice = "Set tokens.lifetime_days to a year or less; a lost token is of use to its finder as long as it lives."
        yield warning(CHECK, told, advice, subject="tokens.lifetime_days")


def _engine(config: BodhiServerConfig) -> Iterator[Finding]:
    engine = config.engine
    if engine.runner != "llama":
        told = f"engine.runner is '{engine.runner}', which is for tests: answers come from no model"
        yield warning(CHECK, told, "Unset engine.runner.", subject="engine.runner")
    if engine.isolation == "thread":
        told = "engine.isolation is 'thread': when llama.cpp crashes, the whole application ends with it"
        yield warning(CHECK, told, "Set engine.isolation to 'process'.", subject="engine.isolation")
    if engine.n_ctx and engine.n_ctx // engine.slots < LEAST_CELLS_PER_SLOT:
        told = f"{engine.slots} slots share a context of {engine.n_ctx} tokens, {engine.n_ctx // engine.slots} for each"
        advice = f"Set engine.n_ctx to {engine.slots * LEAST_CELLS_PER_SLOT} or more, or engine.slots lower."
        yield warning(CHECK, told, advice, subject="engine.n_ctx")
    if engine.n_ctx and engine.n_batch > engine.n_ctx:
        told = f"engine.n_batch ({engine.n_batch}) is larger than the whole context ({engine.n_ctx})"
        yield warning(CHECK, told, "Set engine.n_batch to the context's size or less.", subject="engine.n_batch")
    if engine.request_timeout_s is not None and engine.request_timeout_s < 5:
        told = f"a request may take {engine.request_timeout_s:g} s in all, its wait for a slot included"
        advice = "Set engine.request_timeout_s higher, or unset it."
        yield warning(CHECK, told, advice, subject="engine.request_timeout_s")


def _doors(config: BodhiServerConfig) -> Iterator[Finding]:
    host, _ = config.host_and_port
    if not is_loopback(host) and config.public_url is None:
        told = f"{config.bind_address} is reached from other machines, and public_url does not say under which name"
        advice = "Put a proxy with TLS in front and set public_url to its address, or listen on 127.0.0.1."
        yield warning(CHECK, told, advice, subject="bind_address")
    if not is_loopback(host) and config.docs:
        told = "docs is on for an address that other machines reach: everybody may read the API's description"
        yield warning(CHECK, told, "Unset docs, unless that is what you want.", subject="docs")
    public = urlsplit(config.public_url or "")
    if public.scheme == "http" and not is_loopback(public.hostname or ""):
        told = f"{config.public_url} is not encrypted: tokens and conversations can be read on their way"
        yield warning(CHECK, told, "Use TLS and https.", subject="public_url")


def _is_below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
