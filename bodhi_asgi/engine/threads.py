"""How many threads llama.cpp may have: one less than the cores this process may use, so that the host keeps one."""

import os
from pathlib import Path
from typing import Final

CGROUP_CPU: Final = Path("/sys/fs/cgroup/cpu.max")


def thread_count(configured: int) -> int:
    """``configured``, or for 0 the cores of our affinity within the cgroup's quota, less one, and at least one."""
    if configured:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(cores, _quota(CGROUP_CPU) or cores) - 1)


def _quota(file: Path) -> int | None:
    """Whole cores of a cgroup v2 quota; None when there is none."""
    try:
        quota, period = file.read_text().split()
        return None if quota == "max" else max(1, int(quota) // int(period))
    except (OSError, ValueError):
        return None
