"""A proxy on the loopback interface: tunnels and forwards as squid does, with a password if need be, and remembers."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

REFUSALS = {407: "Proxy Authentication Required", 403: "Forbidden", 502: "Bad Gateway"}


@dataclass
class Proxy:
    """``names`` are those it resolves by itself; ``seen`` what it was asked for; ``status`` what it answers instead."""

    names: dict[str, tuple[str, int]] = field(default_factory=dict)
    password: str = ""
    status: int = 0
    seen: list[str] = field(default_factory=list)
    url: str = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            try:
                await self._relay(reader, writer)
            finally:
                await _closed(writer)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *rest = head.rstrip().split("\r\n")
        method, target, _ = line.split(" ")
        self.seen.append(f"{method} {target}")
        headers = {name.lower(): value for name, _, value in (each.partition(": ") for each in rest)}
        status = self.status or self._refusal(headers)
        if status:
            writer.write(f"HTTP/1.1 {status} {REFUSALS[status]}\r\nContent-Length: 0\r\n\r\n".encode())
            await writer.drain()
            return
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = self.names.get(parts.hostname or "", (parts.hostname or "", parts.port or 80))
        far_reader, far_writer = await asyncio.open_connection(host, port)
        if method == "CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            path = target.split(parts.netloc, 1)[1] or "/"
            kept = [each for each in rest if not each.lower().startswith(("proxy-", "connection"))]
            far_writer.write("\r\n".join([f"{method} {path} HTTP/1.1", *kept, "Connection: close", "", ""]).encode())
        try:
            await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
        finally:
            await _closed(far_writer)

    def _refusal(self, headers: Mapping[str, str]) -> int:
        if not self.password:
            return 0
        given = base64.b64encode(self.password.encode()).decode()
        return 0 if headers.get("proxy-authorization") == f"Basic {given}" else 407


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(64 * 1024):
        writer.write(piece)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


@asynccontextmanager
async def serving_proxy(proxy: Proxy) -> AsyncIterator[str]:
    """The address of ``proxy`` while it is served."""
    handling: set[asyncio.Task[None]] = set()

    def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(proxy.serve(reader, writer))
        handling.add(task)
        task.add_done_callback(handling.discard)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(handling):
            task.cancel()
        await asyncio.gather(*handling, return_exceptions=True)
