"""The reader's end of one request over the engine's socket, and how a connection ends."""

import asyncio
from collections import deque
from typing import Protocol

from bodhi_asgi.engine.process.frames import Message
from bodhi_asgi.engine.process.protocol import CREDITS
from bodhi_asgi.engine.types import Chunk, UnloadReason


class ConnectionLost(Exception):
    """The engine is gone. ``in_order``: it had said before that it was leaving, and why."""

    def __init__(self, why: str, *, in_order: UnloadReason | None = None) -> None:
        super().__init__(why)
        self.in_order = in_order


class EngineSilent(ConnectionLost):
    """Somebody listens, process ``pid``, and does not even greet."""

    def __init__(self, pid: int) -> None:
        super().__init__("the engine did not answer the handshake")
        self.pid = pid


class Sends(Protocol):
    """What a reader asks of its connection."""

    def send(self, message: Message) -> None:
        """Write a message."""
        ...

    def forget(self, number: int, *, cancel: bool) -> None:
        """Stop listening to a request, and have it ended."""
        ...


class Reading:
    """The reader's end of one request: chunks as they come, credits sent back as they are taken."""

    def __init__(self, connection: Sends, number: int) -> None:
        self.has_started = False
        self._connection = connection
        self._number = number
        self._chunks: deque[Chunk] = deque()
        self._taken = 0
        self._lost: ConnectionLost | None = None
        self._is_over = False
        self._wake: asyncio.Future[None] | None = None

    async def next(self) -> Chunk:
        """The next chunk. Raises ConnectionLost once everything that arrived before has been taken."""
        while not self._chunks:
            if self._lost is not None:
                raise self._lost
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        chunk = self._chunks.popleft()
        self._is_over = chunk.is_final
        self._taken += 1
        if self._taken == CREDITS // 2 and not chunk.is_final:
            self._connection.send({"op": "credit", "id": self._number, "chunks": self._taken})
            self._taken = 0
        return chunk

    def close(self) -> None:
        """Take no more; the engine is told unless it has said its final word."""
        self._connection.forget(self._number, cancel=not self._is_over)

    def put(self, chunk: Chunk) -> None:
        """A chunk has arrived."""
        self._chunks.append(chunk)
        self._rouse()

    def lose(self, lost: ConnectionLost) -> None:
        """The connection has ended."""
        self._lost = lost
        self._rouse()

    def _rouse(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
