"""How many threads llama.cpp may have: one less than the cores this process may use, so that the host keeps one."""

import os

from bodhi_asgi.cgroup import cpu_quota


def thread_count(configured: int) -> int:
    """``configured``, or for 0 the cores of our affinity within the control group's quota, less one, at least one."""
    if configured:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return max(1, min(cores, cores if quota is None else int(quota)) - 1)
