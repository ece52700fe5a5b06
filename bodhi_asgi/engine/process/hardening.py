"""What the engine process gives up before it touches a model: core dumps, being traced, new privileges, a wide umask.

Never called in a host. Each measure is taken where the system has it; a missing one weakens, it does not stop.
"""

import contextlib
import ctypes
import os
import resource
import sys
import threading
from pathlib import Path
from typing import Final

_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

_OOM_SCORE: Final = "500"

_STACKS: Final = (1 << 30, 1 << 28, 1 << 26)


def harden() -> None:
    """Take every measure. The kernel, when memory runs out, shall pick the engine and not the host."""
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def widen_stacks() -> int:
    """Give threads started from now on the largest stack that works, in bytes; 0 when only the system's own does.

    Tokenizers of llama.cpp recurse once per character: 26,000 repeated letters overflow 8 MiB, 2 million fit 1 GiB.
    The memory is reserved, not used.
    """
    for size in _STACKS:
        try:
            threading.stack_size(size)
            probe = threading.Thread(target=bool, name="stack-probe")
            probe.start()
            probe.join()
        except (RuntimeError, ValueError):
            continue
        return size
    threading.stack_size(0)
    return 0
