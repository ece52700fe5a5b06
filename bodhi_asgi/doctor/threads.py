"""Processors: how many there are, how many we may use, and how many threads the engine will take."""

import os
from typing import Any, Final

from bodhi_asgi.cgroup import cpu_quota
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.processor import physical_cores
from bodhi_asgi.doctor.types import Finding, ok, warning
from bodhi_asgi.engine.threads import thread_count

CHECK: Final = "threads"


def examine(case: Case) -> list[Finding]:
    """Whether the engine's threads fit what this process may use."""
    logical = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else logical
    physical, quota = physical_cores(), cpu_quota()
    engine = thread_count(case.settings.engine.threads if case.settings is not None else 0)
    room = min(usable, quota if quota is not None else usable)
    parts = [f"{logical} logical processors"]
    if physical is not None:
        parts.append(f"{physical} physical cores")
    if usable != logical:
        parts.append(f"{usable} for this process")
    parts.append(f"a control group's quota of {quota:g}" if quota is not None else "no quota")
    found = f"{', '.join(parts)}; an engine takes {engine} thread{'s' * (engine != 1)}"
    facts: dict[str, Any] = {
        "logical": logical,
        "physical": physical,
        "usable": usable,
        "quota": quota,
        "engine": engine,
    }
    if engine > room:
        fitting = max(1, int(room) - 1)
        return [
            warning(
                CHECK,
                f"{found}, more than there are for it, so that they wait for each other",
                f"Set engine.threads to {fitting}.",
                **facts,
            )
        ]
    if room < 2:
        return [
            warning(
                CHECK,
                f"{found}, and the host has no core of its own beside it",
                "Give this process two cores or more; answers and the host slow each other down.",
                **facts,
            )
        ]
    return [ok(CHECK, found, **facts)]
