"""Starting an engine process: by exec, with next to nothing of the host in its hands.

Closed descriptors, no standard input, a session of its own, an environment by allow-list, the order through a pipe. The
child is waited for by a thread of its own, so that no zombie stays and the host's event loop policy is left alone.
"""

import json
import os
import re
import site
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import orjson

from bodhi_asgi.engine.process import last_words
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.ids import new_id

ALLOWED_ENVIRONMENT: Final = re.compile(
    r"PATH|LANG|LC_[A-Z]+|LD_LIBRARY_PATH|DYLD_LIBRARY_PATH|CUDA\w*|HIP\w*"
    r"|COVERAGE_PROCESS_START|COVERAGE_PROCESS_CONFIG"
)
"""What passes from the host's environment. Coverage's two are set by the test-suite only."""

ORDER_BYTES: Final = 16 * 1024
"""The least that a pipe holds without a reader, on every system."""


@dataclass(slots=True)
class Candidate:
    """A started process that may become the engine. ``exited`` gets its return code, negative for a signal.

    Until its first host has joined, the engine leaves when it sees the ``tether`` cut: by :meth:`release`, or because
    the process that started it has died.
    """

    process: "subprocess.Popen[bytes]"
    launch: str
    exited: "Future[int]"
    tether: BinaryIO

    @property
    def pid(self) -> int:
        return self.process.pid

    def release(self) -> None:
        """Hold it no longer; when it serves somebody by now it goes on doing so."""
        self.tether.close()


def launch(spec: ModelSpec, paths: EnginePaths) -> Candidate:
    """Start a candidate for ``spec``. Returns at once. Raises ConfigurationInvalid when no process can be started."""
    launch_id = new_id()
    order = {
        "directory": str(paths.directory),
        "lock": str(paths.lock),
        "key": paths.key,
        "launch": launch_id,
        "spec": orjson.loads(orjson.dumps(spec)),
    }
    body = json.dumps(order).encode() + b"\n"
    if len(body) > ORDER_BYTES:
        raise ConfigurationInvalid(f"the description of the model '{spec.name[:100]}' is too long")
    reading, writing = os.pipe()
    tether = os.fdopen(writing, "wb", buffering=0)
    try:
        tether.write(body)
        errors = last_words.open_log(paths.log)
        try:
            process = subprocess.Popen(  # noqa: S603 - our own module, by the interpreter that runs us
                [interpreter(), "-P", "-m", "bodhi_asgi.engine", str(reading)],
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd=paths.directory,
                env=environment(os.environ, home=paths.directory),
                pass_fds=(reading,),
                start_new_session=True,
            )
        except OSError as error:
            raise ConfigurationInvalid(
                f"no engine process can be started here ({error.strerror}); set engine.isolation to 'thread'"
            ) from error
        finally:
            os.close(errors)
    except BaseException:
        tether.close()
        raise
    finally:
        os.close(reading)
    exited: Future[int] = Future()
    # Running, so that whoever stops waiting for it does not cancel it for the others.
    exited.set_running_or_notify_cancel()
    # A daemon: the host may end before its engine, which other hosts use; the system then takes the child over.
    threading.Thread(
        target=lambda: exited.set_result(process.wait()), name=f"bodhi-engine-{process.pid}", daemon=True
    ).start()
    return Candidate(process, launch_id, exited, tether)


def environment(host: Mapping[str, str], *, home: Path) -> dict[str, str]:
    """The engine's whole environment: what it needs to run, and no secret of the host."""
    allowed = {name: value for name, value in host.items() if ALLOWED_ENVIRONMENT.fullmatch(name)}
    return {
        **allowed,
        "PYTHONPATH": os.pathsep.join(_import_path(host.get("PYTHONPATH", ""))),
        "HOME": str(home),
        # Otherwise an abort inside ggml forks and attaches a debugger, which turns the abort into a hang.
        "GGML_NO_BACKTRACE": "1",
        "OMP_WAIT_POLICY": "PASSIVE",
    }


def _import_path(host_path: str) -> list[str]:
    """Where the engine finds the very package that runs here, and what the host's interpreter found by HOME."""
    ours = str(Path(__file__).resolve().parents[3])
    path = [entry for entry in host_path.split(os.pathsep) if entry and Path(entry).is_absolute()]
    if ours not in site.getsitepackages():
        path.insert(0, ours)
    user = site.getusersitepackages()
    if user in sys.path:
        path.append(user)
    return path


def interpreter() -> str:
    """The Python that runs us, also where the host's executable is a server that embeds it."""
    if Path(sys.executable or "").name.startswith(("python", "pypy")):
        return sys.executable
    found = Path(sys.prefix) / "bin" / "python3"
    if not found.exists():
        raise ConfigurationInvalid("no Python interpreter is found for the engine; set engine.isolation to 'thread'")
    return str(found)
