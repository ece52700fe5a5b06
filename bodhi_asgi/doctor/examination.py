"""The examination: every check in its order, each within its time, none able to break the others.

A host asks like this, with the settings its server has::

    from bodhi_asgi import diagnose

    diagnosis = await diagnose(server.config)
    if diagnosis.has_failed: ...
"""

import asyncio
import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from bodhi_asgi.doctor import database, extras, models, permissions, port, python, settings, threads
from bodhi_asgi.doctor.case import Case, Examine, blocking
from bodhi_asgi.doctor.types import Diagnosis, Finding, failed, skipped
from bodhi_asgi.settings.checks import without_password
from bodhi_asgi.settings.schema import BodhiServerConfig

TIME_LIMIT_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class Check:
    """One check: its stable name, what it does, whether it can be made without settings, and its time in seconds."""

    name: str
    examine: Examine
    needs_settings: bool = True
    limit_s: Callable[[Case], float] = lambda case: case.time_limit_s


def posix(name: str) -> Examine:
    """The check in the module of this name, which asks for what Windows does not have."""

    async def run(case: Case) -> list[Finding]:
        if os.name == "nt":
            return [skipped(name, "this is not looked at on Windows, where engines have no process of their own yet")]
        found: list[Finding] = await import_module(f"bodhi_asgi.doctor.{name}").examine(case)
        return found

    return run


def engine_limit_s(case: Case) -> float:
    """Time for the model to load, for one answer, and for the end."""
    start_s = case.settings.engine.start_timeout_s if case.settings is not None else 0.0
    return start_s + 2 * case.time_limit_s


CHECKS: Final = (
    Check(python.CHECK, blocking(python.examine), needs_settings=False),
    Check(extras.CHECK, blocking(extras.examine), needs_settings=False),
    Check(settings.CHECK, blocking(settings.examine), needs_settings=False),
    Check(threads.CHECK, blocking(threads.examine), needs_settings=False),
    Check(models.CHECK, blocking(models.examine)),
    Check("memory", posix("memory"), needs_settings=False),
    Check("disk", posix("disk")),
    Check(permissions.CHECK, blocking(permissions.examine)),
    Check("runtime", posix("runtime")),
    Check(port.CHECK, blocking(port.examine)),
    Check(database.CHECK, database.examine),
    Check("llama", posix("llama"), needs_settings=False),
    Check("engine", posix("engine"), limit_s=engine_limit_s),
)
"""In the order they are made: what is quick and explains the most comes first."""


async def diagnose(
    config: BodhiServerConfig | Callable[[], BodhiServerConfig] | None = None,
    *,
    model: str | None = None,
    with_engine: bool = True,
    time_limit_s: float = TIME_LIMIT_S,
    on_started: Callable[[str], None] | None = None,
    on_found: Callable[[Finding], None] | None = None,
) -> Diagnosis:
    """Look at everything a server with these settings needs here, and tell what was found.

    ``config`` are the settings, or what makes them (unset: those of the environment); settings that cannot be read are
    a finding. ``model`` is the one whose engine is started, in a process that nobody else uses and that is ended again;
    not at all without ``with_engine``. Each check has ``time_limit_s`` seconds, and the engine its
    ``engine.start_timeout_s`` besides. ``on_started`` hears each check's name as it begins, ``on_found`` each finding
    at once. Never raises because of what it finds.
    """
    case = _case(config, model, with_engine, time_limit_s)
    findings: list[Finding] = []
    for check in CHECKS:
        if on_started is not None:
            on_started(check.name)
        for finding in await _made(check, case):
            findings.append(finding)
            if on_found is not None:
                on_found(finding)
    return Diagnosis(tuple(findings))


def _case(
    config: BodhiServerConfig | Callable[[], BodhiServerConfig] | None,
    model: str | None,
    with_engine: bool,
    time_limit_s: float,
) -> Case:
    try:
        made = config if isinstance(config, BodhiServerConfig) else (config or BodhiServerConfig)()
    except Exception as error:
        return Case(None, error, model, with_engine, time_limit_s)
    return Case(made, None, model, with_engine, time_limit_s)


async def _made(check: Check, case: Case) -> list[Finding]:
    """The findings of one check; its failure to look is a finding too."""
    if check.needs_settings and case.settings is None:
        return [skipped(check.name, "the settings cannot be read")]
    limit_s = check.limit_s(case)
    limit = asyncio.timeout(limit_s)
    try:
        async with limit:
            return await check.examine(case)
    except Exception as error:
        if limit.expired():
            told = f"the check did not end within {limit_s:g} s"
            advice = "Something it waits for hangs, such as a network drive; try again with a longer time limit."
            return [failed(check.name, told, advice)]
        told = without_password(f"the check itself failed: {type(error).__name__}: {error}")
        advice = "Please report this with the line above; it says nothing about the other checks."
        return [failed(check.name, told, advice)]
