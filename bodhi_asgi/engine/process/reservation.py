"""Memory that engines reserve before they load: those of one data directory share one budget, whoever started them.

A reservation is a number in the engine's ``ready.json`` and counts as long as that engine holds its lock, so that a
death gives it back.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from bodhi_asgi.cgroup import PROC, memory_limits
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.memory import model_memory
from bodhi_asgi.engine.process.election import is_held
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.types import ModelSpec

DEFAULT_SHARE: Final = 0.8
"""Of what the machine, or the control group, has: the rest is for the host and for what steps compute with."""

RETRY_S: Final = 10.0
GIB: Final = 1024**3


def default_budget(proc: Path = PROC) -> int:
    """Bytes that engines may take together where nothing else is set."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return int(DEFAULT_SHARE * min([machine, *(limit.limit_bytes for limit in memory_limits(proc))]))


def needed_bytes(spec: ModelSpec) -> int:
    """What ``spec`` takes of main memory; nothing where a graphics card holds it. Raises ModelLoadFailed."""
    if spec.runner != "llama" or spec.n_gpu_layers:
        return 0
    beside = [spec.projector, *(adapter.path for adapter in spec.adapters)]
    total = model_memory(Path(spec.path), spec.n_ctx).total_bytes + sum(map(_file_bytes, filter(None, beside)))
    draft = spec.speculation.path
    return total + (model_memory(Path(draft), spec.n_ctx).total_bytes if draft else 0)


def _file_bytes(path: str) -> int:
    """What a file weighs; what is wrong with it is said when it is loaded."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


def reserve(paths: EnginePaths, spec: ModelSpec, announce: Callable[[int], None]) -> None:
    """Reserve what ``spec`` needs and ``announce`` the number of bytes. Blocking.

    Raises ModelLoadFailed when it does not fit beside what others have reserved.
    """
    needed = needed_bytes(spec)
    budget = spec.memory_bytes or default_budget()
    with _alone(paths.directory / "memory.guard"):
        others = dict(_others(paths))
        if needed + sum(others.values()) > budget:
            raise _refusal(spec, needed, budget, others)
        announce(needed)


def _refusal(spec: ModelSpec, needed: int, budget: int, others: dict[str, int]) -> ModelLoadFailed:
    beside = f", and {_gib(sum(others.values()))} of it are taken by {', '.join(sorted(others))}" if others else ""
    return ModelLoadFailed(
        f"the model '{spec.name}' needs about {_gib(needed)} of memory; "
        f"engines may take {_gib(budget)} together{beside}; lower engine.n_ctx or raise engine.memory_bytes",
        retry_after_s=RETRY_S if others else None,
        needed_bytes=needed,
        budget_bytes=budget,
    )


def _others(paths: EnginePaths) -> Iterator[tuple[str, int]]:
    """Model and reserved bytes of every other engine that lives."""
    for ready in paths.directory.glob("*.ready.json"):
        other = EnginePaths(paths.directory, ready.name.removesuffix(".ready.json"))
        if other.key == paths.key or not is_held(other.lock):
            continue
        try:
            said = json.loads(ready.read_bytes())
        except FileNotFoundError:
            continue  # it has just left
        if said["reserved_bytes"]:
            yield f"'{said['model']}'", int(said["reserved_bytes"])


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One engine at a time looks at what there is and takes of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.1f} MiB"
