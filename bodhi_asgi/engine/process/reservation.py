"""Memory that engines reserve before they load: those of one data directory share one budget, whoever started them.

A reservation is a number in the engine's ``ready.json`` and counts as long as that engine holds its lock, so that a
death gives it back.
"""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bodhi_asgi.engine.budget import Shortage, default_budget, needed_bytes
from bodhi_asgi.engine.process.election import is_held
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.types import ModelSpec

try:
    import fcntl
except ImportError:  # Windows, where the pool refuses to have engines in processes
    fcntl = None  # type: ignore[assignment]


def reserve(paths: EnginePaths, spec: ModelSpec, announce: Callable[[int], None]) -> Shortage | None:
    """Reserve what ``spec`` needs and ``announce`` the number of bytes, or tell what is short. Blocking.

    Raises ModelLoadFailed for a file that is no model.
    """
    needed = needed_bytes(spec)
    budget = spec.memory_bytes or default_budget()
    with _alone(paths.directory / "memory.guard"):
        shortage = Shortage(spec.name, needed, budget, tuple(_others(paths)))
        if shortage.missing_bytes > 0:
            return shortage
        announce(needed)
        return None


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
            yield str(said["model"]), int(said["reserved_bytes"])


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """One engine at a time looks at what there is and takes of it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
