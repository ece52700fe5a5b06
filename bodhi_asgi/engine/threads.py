"""Threads: how many llama.cpp may have, and how to start one with a deep stack."""

import os
import threading
from collections.abc import Callable
from typing import Final

from bodhi_asgi.cgroup import cpu_quota

STACK_BYTES: Final = 1 << 30
"""A tokenizer recurses once per character of an unbroken run, a grammar's compiler once per rule of a chain; virtual
memory is all that this costs."""

_stack_size = threading.Lock()


def thread_count(configured: int) -> int:
    """``configured``, or for 0 the cores of our affinity within the control group's quota, less one, at least one."""
    if configured:
        return configured
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = cpu_quota()
    return max(1, min(cores, cores if quota is None else int(quota)) - 1)


def start_deep(target: Callable[[], None], name: str) -> threading.Thread:
    """Start a daemon thread with a stack for recursive work on untrusted text."""
    thread = threading.Thread(target=target, name=name, daemon=True)
    # The size is a setting of the process, so it is set for this one start and put back.
    with _stack_size:
        before = threading.stack_size(STACK_BYTES)
        try:
            thread.start()
        finally:
            threading.stack_size(before)
    return thread
