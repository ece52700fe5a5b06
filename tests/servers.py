"""Real servers: uvicorn in the test's own event loop, and any other as a process of its own."""

import asyncio
import os
import re
import signal
import socket
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from uvicorn.protocols.http.auto import AutoHTTPProtocol

ROOT = Path(__file__).parent.parent


class QuietServer(uvicorn.Server):
    """uvicorn without signal handlers, so that it can share a process with the tests."""

    def capture_signals(self) -> Any:
        from contextlib import nullcontext

        return nullcontext()


class ShallowProtocol(AutoHTTPProtocol):  # type: ignore[misc]
    """uvicorn's protocol with 4 KiB to wait in the server for a client that does not read, where it is 64 KiB."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        transport.set_write_buffer_limits(high=4096)
        super().connection_made(transport)


@asynccontextmanager
async def serving(app: Any, *, send_buffer: int = 0, **options: Any) -> AsyncIterator[str]:
    """Serve ``app`` and yield its base URL, without a trailing slash.

    With ``send_buffer``, no more bytes than about that wait in the system for a client that does not read, and few in
    the server: it stands still after few words.
    """
    # TCP by name: asyncio sends small pieces at once only where it is told.
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        if send_buffer:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
            options["http"] = ShallowProtocol
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="on", log_level="warning", **options)
        server = QuietServer(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            async with asyncio.timeout(60):
                while not server.started:
                    if task.done():
                        task.result()
                        raise RuntimeError("uvicorn ended before it had started")
                    await asyncio.sleep(0.01)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            async with asyncio.timeout(30):
                await task


class Spawned:
    """A running server and what it has printed, standard error included.

    Its output is always being read: a server whose pipe is full stands still.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._more = asyncio.Event()
        self._seen = 0
        self._reading = asyncio.create_task(self._read())

    @property
    def output(self) -> str:
        return "".join(self.lines)

    async def until(self, pattern: str) -> str:
        """Wait for a new line that matches; its first group."""
        async with asyncio.timeout(60):
            while True:
                for line in self.lines[self._seen :]:
                    self._seen += 1
                    found = re.search(pattern, line)
                    if found:
                        return found.group(1)
                if self._reading.done():
                    raise AssertionError(self.output)
                self._more.clear()
                await self._more.wait()

    async def ends(self) -> int:
        """Its exit code, when it has ended by itself."""
        async with asyncio.timeout(30):
            await self._reading
            return await self.process.wait()

    async def kill_all(self) -> None:
        """Kill the server and all its workers, as a machine out of memory would."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self._reading
        await self.process.wait()

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            self.lines.append(line.decode("utf-8", "replace"))
            self._more.set()
        self._more.set()


@asynccontextmanager
async def spawned(command: list[str], environment: Mapping[str, str]) -> AsyncIterator[Spawned]:
    """Start a server in a process group of its own; nothing of it is left afterwards."""
    process = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, env={**os.environ, **environment}, stdout=PIPE, stderr=STDOUT, start_new_session=True
    )
    server = Spawned(process)
    try:
        yield server
    finally:
        await server.kill_all()
