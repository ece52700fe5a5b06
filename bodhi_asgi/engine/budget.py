"""The memory that loaded models may take together, what one of them takes, and who makes room when it is short."""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from bodhi_asgi.cgroup import PROC, memory_limits
from bodhi_asgi.engine.errors import ModelLoadFailed, NoRoomForModel
from bodhi_asgi.engine.memory import draft_bytes, model_memory, projector_memory
from bodhi_asgi.engine.types import ModelSpec

DEFAULT_SHARE: Final = 0.8
"""Of what the machine, or the control group, has: the rest is for the host and for whatever else runs there."""

RETRY_S: Final = 10.0
GIB: Final = 1024**3

UNTOLD_BYTES: Final = 4 * GIB
"""What a machine is taken to have that does not tell, as Windows does not."""

T = TypeVar("T")


def default_budget(proc: Path = PROC) -> int:
    """Bytes that engines may take together where nothing else is set."""
    return int(DEFAULT_SHARE * min([machine_bytes(), *(limit.limit_bytes for limit in memory_limits(proc))]))


def machine_bytes() -> int:
    """Bytes of main memory that the machine has."""
    if not hasattr(os, "sysconf"):
        return UNTOLD_BYTES
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def needed_bytes(spec: ModelSpec) -> int:
    """What ``spec`` takes of main memory; nothing where a graphics card holds it. Blocking. Raises ModelLoadFailed."""
    if spec.runner != "llama" or spec.n_gpu_layers:
        return 0
    memory = model_memory(Path(spec.path), spec)
    total = memory.most_bytes
    total += sum(_file_bytes(adapter.path) for adapter in spec.adapters)
    if spec.projector:
        beside = projector_memory(Path(spec.projector), memory.context_tokens)
        total += beside.at_work_bytes + beside.resting_bytes
    return total + (draft_bytes(spec) if spec.speculation.path else 0)


def _file_bytes(path: str) -> int:
    """What a file weighs; what is wrong with it is said when it is loaded."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Shortage:
    """What one model needs, what all may take together, and what others have of it, by name."""

    model: str
    needed_bytes: int
    budget_bytes: int
    taken: tuple[tuple[str, int], ...]

    @property
    def missing_bytes(self) -> int:
        """How much others would have to give back; nothing or less when it fits beside them."""
        return self.needed_bytes + sum(size for _, size in self.taken) - self.budget_bytes

    @property
    def is_hopeless(self) -> bool:
        """Whether it would not even fit alone."""
        return self.needed_bytes > self.budget_bytes

    def refusal(self) -> ModelLoadFailed | NoRoomForModel:
        """The error for whoever wanted the model: for good, or until somebody else is done."""
        told = (
            f"the model '{self.model}' needs about {_gib(self.needed_bytes)} of memory; "
            f"engines may take {_gib(self.budget_bytes)} together"
        )
        advice = "lower engine.n_ctx or raise engine.memory_bytes"
        if self.is_hopeless:
            return ModelLoadFailed(f"{told}; {advice}", needed_bytes=self.needed_bytes, budget_bytes=self.budget_bytes)
        names = ", ".join(f"'{name}'" for name in sorted({name for name, _ in self.taken}))
        return NoRoomForModel(
            f"{told}, and {_gib(sum(size for _, size in self.taken))} of it are taken by {names}, which are at work; "
            f"try again, or {advice}",
            retry_after_s=RETRY_S,
            needed_bytes=self.needed_bytes,
            budget_bytes=self.budget_bytes,
        )


def least_recently_used(
    idle: Iterable[T], missing_bytes: int, *, idle_s: Callable[[T], float], size_bytes: Callable[[T], int]
) -> list[T]:
    """Who of the idle has to go so that ``missing_bytes`` come free, longest idle first; nobody when all are too few.

    What takes nothing gives nothing, and stays.
    """
    going: list[T] = []
    for candidate in sorted(idle, key=idle_s, reverse=True):
        if missing_bytes <= 0:
            break
        if size_bytes(candidate) > 0:
            going.append(candidate)
            missing_bytes -= size_bytes(candidate)
    return going if missing_bytes <= 0 else []


def _gib(size: int) -> str:
    return f"{size / GIB:.1f} GiB" if size >= GIB / 10 else f"{size / 1024**2:.1f} MiB"
