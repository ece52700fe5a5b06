"""``python guest_script.py HOST ISOLATION FOLDER``: what importing, mounting, serving and ending changed, as JSON.

A process of its own, because an import happens once. The host is imported first: what it does is not ours.
"""

import asyncio
import atexit
import gc
import json
import locale
import logging
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from tests.asgi.guests import WITHOUT, forgotten, hosting, import_us, made

HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
CSRF = "x" * 32
AS_ANN = {"x-user": "ann", "x-csrftoken": CSRF, "cookie": f"csrftoken={CSRF}"}

PATIENCE_S = 10.0


def state() -> dict[str, Any]:
    """Whatever of a process a library could change behind its host's back, as texts that can be compared."""
    umask = os.umask(0)
    os.umask(umask)
    root = logging.getLogger()
    return {
        "environment": dict(os.environ),
        "signals": {str(number): repr(signal.getsignal(number)) for number in signal.valid_signals()},
        "wakeup": signal.set_wakeup_fd(-1),
        "root logger": repr((root.level, root.handlers, root.filters, root.disabled, logging.root.manager.disable)),
        "logger class": repr((logging.getLoggerClass(), logging.getLogRecordFactory(), logging.raiseExceptions)),
        "warnings": repr(warnings.filters),
        "loop policy": repr(type(asyncio.get_event_loop_policy())),
        "start method": multiprocessing.get_start_method(allow_none=True),
        "recursion": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "stack": threading.stack_size(),
        "umask": umask,
        "folder": str(Path.cwd()),
        "locale": locale.setlocale(locale.LC_ALL),
        "hooks": repr((sys.excepthook, threading.excepthook, sys.displayhook, sys.unraisablehook)),
        "gc": repr((gc.get_threshold(), gc.callbacks)),
        "streams": repr((sys.stdin, sys.stdout, sys.stderr)),
        "import path": repr((sys.path, sys.meta_path, sys.path_hooks)),
        "limits": {name: resource.getrlimit(getattr(resource, name)) for name in dir(resource) if "RLIMIT_" in name},
        "socket timeout": socket.getdefaulttimeout(),
        "priority": os.getpriority(os.PRIO_PROCESS, 0),
        "process group": (os.getpgid(0), os.getsid(0)),
    }


def held() -> dict[str, Any]:
    """What is open, runs, or waits for the end."""
    gc.collect()
    return {
        "files": len(list(Path("/proc/self/fd").iterdir())),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "children": len(Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()),
    }


def kept_since(before: dict[str, Any]) -> dict[str, Any]:
    """What is held now and was not then; a thread that has said its last word has a moment to end."""
    until_s = time.monotonic() + PATIENCE_S
    while (found := apart(before, held())) and time.monotonic() < until_s:
        time.sleep(0.05)
    return found


def apart(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    return {key: [before[key], after[key]] for key in before if before[key] != after[key]}


class Life:
    """One guest, from its mount to its end; ``changed`` is what a look at the process found at each step."""

    def __init__(self, kind: str, isolation: str, folder: str) -> None:
        self.kind, self.isolation, self.folder = kind, isolation, folder
        self.changed: dict[str, Any] = {}

    def live(self, before: dict[str, Any]) -> None:
        from bodhi_asgi import Caller

        bodhi = made(
            self.kind,
            data_dir=self.folder,
            models={"parrot": "x"},
            demo=False,
            engine={"runner": "echo", "isolation": self.isolation, "n_ctx": 256, "linger_s": 0},
            identity=lambda connection: Caller.user("ann") if connection.headers.get("x-user") else None,
        )
        host = hosting(self.kind, {"/bodhi": bodhi})
        self.changed["mounted"] = apart(before, state())
        with TestClient(host) as client:
            answer = client.post("/bodhi/v1/chat/completions", json=HELLO, headers=AS_ANN)
            assert answer.status_code == 200, answer.text
            self.changed["serving"] = apart(before, state())
        forgotten(self.kind)
        self.changed["unmounted"] = apart(before, state())


def main(kind: str, isolation: str, folder: str) -> None:
    host = WITHOUT[kind]()
    with TestClient(WITHOUT["starlette"]()) as client:
        client.get("/")  # what the test's own client imports and starts
    before, held_before, callbacks = state(), held(), atexit._ncallbacks()
    import_us(kind)
    hosting(kind, {})
    changed = {"imported": apart(before, state())}
    kept = {"imported": kept_since(held_before)}
    lives = [Life(kind, isolation, folder) for _ in range(6)]
    lives[0].live(before)
    kept["once"] = kept_since(held_before)
    for life in lives[1:]:
        life.live(before)
    kept["again and again"] = kept_since(held_before)
    changed |= {f"{step}, life {n}": found for n, life in enumerate(lives) for step, found in life.changed.items()}
    print(json.dumps({"changed": changed, "kept": kept, "at exit": atexit._ncallbacks() - callbacks}))
    del host


if __name__ == "__main__":
    main(*sys.argv[1:])
