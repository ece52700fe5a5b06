"""Memory: what the machine and the control group leave us, against what the models of the settings take.

A model takes its weights as they are held, the keys and values of the whole context, which all slots share, and what
its steps compute with.
"""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.cgroup import MemoryLimit, memory_limit
from bodhi_asgi.doctor.case import Case, blocking
from bodhi_asgi.doctor.models import model_files
from bodhi_asgi.doctor.sizes import size
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.engine.budget import default_budget, machine_bytes
from bodhi_asgi.engine.memory import ModelMemory

CHECK: Final = "memory"
MEMINFO: Final = Path("/proc/meminfo")
AVAILABLE: Final = re.compile(r"^MemAvailable:\s+(\d+) kB$", re.MULTILINE)
LITTLE_BYTES: Final = 256 * 1000 * 1000


@dataclass(frozen=True, slots=True)
class Room:
    """``most_bytes`` is what engines may ever take, ``now_bytes`` what is free at this moment (None: unknown)."""

    most_bytes: int
    now_bytes: int | None


@blocking
def examine(case: Case) -> list[Finding]:
    """The machine's memory, then each model against it, then all of them together."""
    room, machine = about_machine(machine_bytes(), _available(), memory_limit())
    if case.settings is None:
        return [machine, skipped(CHECK, "the settings cannot be read, so the models are not known", subject="models")]
    engine = case.config.engine
    if engine.runner != "llama":
        return [machine]
    if not engine.n_gpu_layers:
        # What engines reserve from: a model beyond it is refused, whatever else is free.
        room = replace(room, most_bytes=min(room.most_bytes, engine.memory_bytes or default_budget()))
    findings = [
        about_model(file.name, file.memory, room) for file in model_files(case.config) if file.memory is not None
    ]
    return [machine, *findings, *about_all(findings, room)]


def about_machine(total: int, available: int | None, limit: MemoryLimit | None) -> tuple[Room, Finding]:
    """What there is in bytes, and the finding that tells it."""
    parts = [f"{size(total)} in all"]
    if available is not None:
        parts.append(f"{size(available)} available")
    now = available
    if limit is not None:
        left = limit.limit_bytes - limit.used_bytes
        parts.append(f"the control group allows {size(limit.limit_bytes)}, {size(left)} of it left")
        now = left if now is None else min(now, left)
    else:
        parts.append("no limit by a control group")
    room = Room(min(total, limit.limit_bytes) if limit is not None else total, now)
    found = ", ".join(parts)
    facts: dict[str, Any] = {
        "total_bytes": total,
        "available_bytes": available,
        "cgroup_limit_bytes": limit.limit_bytes if limit is not None else None,
        "cgroup_used_bytes": limit.used_bytes if limit is not None else None,
    }
    if now is not None and now < LITTLE_BYTES:
        return room, warning(CHECK, found, "End other programs, or give this process more memory.", **facts)
    return room, ok(CHECK, found, **facts)


def _available() -> int | None:
    try:
        found = AVAILABLE.search(MEMINFO.read_text())
    except OSError:
        return None
    return None if found is None else 1024 * int(found[1])


def about_model(name: str, model: ModelMemory, room: Room) -> Finding:
    """One model against what there is."""
    needed, cache = model.most_bytes, model.cache_bytes
    context = f"{size(cache)}" if cache is not None else "an unknown amount"
    found = (
        f"needs about {size(needed)}: {size(model.weight_bytes)} of weights, "
        f"{context} for a context of {model.context_tokens} tokens, {size(model.compute_bytes)} to compute with"
    )
    if model.stowage_bytes:
        found += f", {size(model.stowage_bytes)} for conversations that rest"
    facts: dict[str, Any] = {
        "needed_bytes": needed,
        "weights_bytes": model.weight_bytes,
        "kv_bytes": cache,
        "compute_bytes": model.compute_bytes,
        "prefix_bytes": model.stowage_bytes,
        "context_tokens": model.context_tokens,
    }
    advice = "Set engine.n_ctx lower, use a smaller model or quantisation, or give engines more (engine.memory_bytes)."
    if needed > room.most_bytes:
        told = f"{found}; {size(room.most_bytes)} is all that engines may take"
        return failed(CHECK, told, advice, subject=name, **facts)
    if room.now_bytes is not None and needed > room.now_bytes:
        told = f"{found}; {size(room.now_bytes)} is free at this moment"
        return warning(CHECK, told, f"End other programs, or: {advice}", subject=name, **facts)
    return ok(CHECK, found, subject=name, **facts)


def about_all(findings: list[Finding], room: Room) -> list[Finding]:
    """Models that do not fit beside each other take turns, which costs a load each time."""
    needed = sum(int(str(finding.facts["needed_bytes"])) for finding in findings)
    if len(findings) < 2 or needed <= room.most_bytes:
        return []
    return [
        warning(
            CHECK,
            f"all {len(findings)} models together need about {size(needed)}, of {size(room.most_bytes)} they may take",
            "Idle ones make room for the one that is asked for; offer fewer, or smaller ones, to save the loads.",
            subject="all models",
            needed_bytes=needed,
        )
    ]
