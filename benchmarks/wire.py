"""The cheapest client of a streamed chat completion, so that what is measured is the server and not its client.

A protocol on the socket that notes when each piece of text arrived and decodes nothing else.
"""

import asyncio
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

EVENT: Final = re.compile(rb"^data: (.*?)\r?$", re.MULTILINE)
TEXT: Final = re.compile(rb'"(?:content|text)": ?"(?!")')
TOKENS: Final = re.compile(rb'"completion_tokens": ?(\d+)')
DONE: Final = b"[DONE]"


class Refused(Exception):
    """The server answered something else than a complete stream."""


@dataclass(slots=True)
class Streamed:
    """One answer: when it was asked for, when each piece arrived (seconds of perf_counter), how many tokens it had."""

    asked_at: float
    pieces_at: list[float] = field(default_factory=list)
    tokens: int = 0
    ended_at: float = 0.0


class _Reader(asyncio.Protocol):
    def __init__(self, request: bytes) -> None:
        self._request = request
        self._rest = b""
        self._head = b""
        self._counted = 0
        self.streamed = Streamed(time.perf_counter())
        self.done: asyncio.Future[Streamed] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if len(self._head) < 4096:
            self._head += data[:4096]
        # Servers end a chunk with an event, so a chunk's own framing never stands within a line.
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if not newline:
            return
        for event in EVENT.finditer(whole):
            text = event[1]
            if text == DONE:
                self._finish(now)
                return
            if TEXT.search(text):
                self.streamed.pieces_at.append(now)
            if counted := TOKENS.search(text):
                self._counted = int(counted[1])

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            told = self._head.decode(errors="replace")
            self.done.set_exception(
                Refused(f"the stream ended early ({exc or 'closed'}): {told[:300]} … {told[-300:]}")
            )

    def _finish(self, now: float) -> None:
        self.streamed.tokens = self._counted or len(self.streamed.pieces_at)
        self.streamed.ended_at = now
        if not self.done.done():
            self.done.set_result(self.streamed)
        self._transport.close()


async def stream_chat(port: int, body: Mapping[str, Any], headers: Mapping[str, str], prefix: str = "") -> Streamed:
    """Ask a server on this machine for a streamed chat completion, below ``prefix`` where it is mounted.

    Raises Refused, or OSError without a server.
    """
    content = json.dumps({**body, "stream": True, "stream_options": {"include_usage": True}}).encode()
    head = {
        "Host": f"127.0.0.1:{port}",
        "Content-Type": "application/json",
        "Content-Length": str(len(content)),
        "Connection": "close",
        **headers,
    }
    lines = [
        f"POST {prefix}/v1/chat/completions HTTP/1.1",
        *(f"{name}: {value}" for name, value in head.items()),
        "",
        "",
    ]
    request = "\r\n".join(lines).encode() + content
    loop = asyncio.get_running_loop()
    transport, reader = await loop.create_connection(lambda: _Reader(request), "127.0.0.1", port)
    try:
        return await reader.done
    finally:
        transport.close()


async def answers(port: int, path: str) -> bool:
    """Whether a GET of ``path`` is answered with 200."""
    try:
        reading, writing = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    try:
        writing.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n".encode())
        return b" 200 " in await reading.readline()
    except OSError:
        return False
    finally:
        writing.close()
