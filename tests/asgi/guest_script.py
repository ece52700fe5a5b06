"""``python guest_script.py HOST ISOLATION FOLDER``: what importing, mounting, serving and stopping changed, as JSON.

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
import warnings
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


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


def starlette() -> Any:
    from starlette.applications import Starlette

    return Starlette()


def fastapi() -> Any:
    from fastapi import FastAPI

    return FastAPI()


def django() -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), SECRET_KEY="x" * 50, LOGGING_CONFIG=None)
    return get_asgi_application()


HOSTS = {"starlette": starlette, "fastapi": fastapi, "django": django}


def whole_life(name: str, host: Any, isolation: str, folder: str) -> None:
    from bodhi_asgi import BodhiApp, Caller

    engine: dict[str, Any] = {"runner": "echo", "isolation": isolation, "n_ctx": 256, "linger_s": 0}
    bodhi = BodhiApp(
        data_dir=folder,
        models={"parrot": "x"},
        demo=False,
        engine=engine,
        identity=lambda connection: Caller.user("ann") if connection.headers.get("x-user") else None,
    )
    if name == "django":
        from bodhi_django import bodhi_asgi

        app = bodhi_asgi(host, bodhi)
    else:
        app = bodhi.install(HOSTS[name]())
    with TestClient(app) as client:
        answer = client.post("/bodhi/v1/chat/completions", json=HELLO, headers={"x-user": "ann"})
        assert answer.status_code == 200, answer.text


def main(name: str, isolation: str, folder: str) -> None:
    host = HOSTS[name]()
    with TestClient(starlette()) as client:
        client.get("/")  # what the test's own client imports and starts
    before, callbacks = state(), atexit._ncallbacks()
    whole_life(name, host, isolation, folder)
    after, held_once = state(), held()
    for _ in range(5):
        whole_life(name, host, isolation, folder)
    changed = {key: [before[key], after[key]] for key in before if before[key] != after[key]}
    kept = {key: [held_once[key], value] for key, value in held().items() if held_once[key] != value}
    print(json.dumps({"changed": changed, "kept": kept, "at exit": atexit._ncallbacks() - callbacks}))


main(*sys.argv[1:])
