"""What the engine process gives up before it touches a model: core dumps, being traced, new privileges, a wide umask,
large files, and its place before the host.

Never called in a host. Each measure is taken where the system has it; a missing one weakens, it does not stop.
"""

import contextlib
import ctypes
import os
import sys
from pathlib import Path
from typing import Final

try:
    import resource
except ImportError:  # Windows, where the pool refuses to have engines in processes
    resource = None  # type: ignore[assignment]

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

_OOM_SCORE: Final = "500"

_NICER: Final = 5
"""So that a host with work of its own comes first where cores are few."""

_FILE_BYTES: Final = 64 * 1024 * 1024
"""The largest file it may write: it writes a bounded log and a few lines beside it."""


def harden() -> None:
    """Take every measure. The kernel, when memory runs out, shall pick the engine and not the host."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_FSIZE, (_FILE_BYTES, _FILE_BYTES))
    os.nice(_NICER)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
