"""Which engines there are in a runtime directory, how each of them is, and asking one to leave.

Whoever looks is a visitor: no engine stays or goes because of it.
"""

import asyncio
import contextlib
import json
import logging
import signal
import socket
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.engine.process.connection import EngineConnection
from bodhi_asgi.engine.process.election import is_held
from bodhi_asgi.engine.process.peer import peer_pid, send_signal
from bodhi_asgi.engine.process.plain import from_plain
from bodhi_asgi.engine.process.reading import ConnectionLost
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.types import EngineStatus, UnloadReason

log = logging.getLogger(__name__)

ANSWER_S: Final = 2.0

LOOK_AGAIN_S: Final = 0.02
"""The system tells nobody that a lock has become free."""


async def engines(directory: Path) -> list[EngineStatus]:
    """Every engine that lives there, by model. One that does not answer is told as it announced itself."""
    held = await asyncio.to_thread(_held, directory)
    found = await asyncio.gather(*(_status(paths) for paths in held))
    return sorted((status for status in found if status is not None), key=lambda status: (status.model, status.key))


async def retire(paths: EnginePaths, reason: UnloadReason, *, force: bool = False) -> bool:
    """Ask an engine to unload and leave; without ``force`` only when that interrupts nobody. Whether it is leaving."""
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await EngineConnection.open(paths, visits=True)
            try:
                return bool((await connection.ask("retire", reason=reason, force=force))["accepted"])
            finally:
                connection.abort()
    except ConnectionLost as lost:
        return lost.in_order is not None
    except (OSError, TimeoutError):
        return not await asyncio.to_thread(paths.socket.exists)


async def gone(paths: EnginePaths, within_s: float) -> bool:
    """Wait until the engine has ended and its memory is free. Whether it did so in time."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                if not is_held(paths.lock):
                    return True
                await asyncio.sleep(LOOK_AGAIN_S)
    except TimeoutError:
        return False


async def ended(paths: EnginePaths, within_s: float) -> bool:
    """Kill an engine that neither answers nor leaves, and wait until its memory is free. Whether it is."""
    await asyncio.to_thread(_kill, paths)
    return await gone(paths, within_s)


async def _status(paths: EnginePaths) -> EngineStatus | None:
    try:
        async with asyncio.timeout(ANSWER_S):
            connection = await EngineConnection.open(paths, visits=True)
            try:
                return from_plain(EngineStatus, (await connection.ask("describe"))["status"])
            finally:
                connection.abort()
    except (OSError, ConnectionLost, TimeoutError):
        return await asyncio.to_thread(_as_announced, paths)


def _held(directory: Path) -> list[EnginePaths]:
    keys = [ready.name.removesuffix(".ready.json") for ready in directory.glob("*.ready.json")]
    return [paths for paths in (EnginePaths(directory, key) for key in keys) if is_held(paths.lock)]


def _kill(paths: EnginePaths) -> None:
    """Who listens on the socket in our private directory: the kernel names it, also when it stands still."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as visitor:
        visitor.settimeout(ANSWER_S)
        visitor.connect(str(paths.socket))
        pid = peer_pid(visitor)
        log.error("an engine process is ended", extra={"pid": pid, "reason": "it does not answer and is to leave"})
        send_signal(pid, signal.SIGKILL)


def _as_announced(paths: EnginePaths) -> EngineStatus | None:
    try:
        said: dict[str, Any] = json.loads(paths.ready.read_bytes())
    except FileNotFoundError:
        return None
    # The socket is the first thing that an engine on its way out takes away.
    state = "silent" if paths.socket.exists() else "leaving"
    return EngineStatus(
        key=paths.key,
        model=str(said["model"]),
        state=state,  # type: ignore[arg-type]
        pid=int(said["pid"]),
        reserved_bytes=int(said["reserved_bytes"]),
        files=tuple(map(str, said["files"])),
    )
