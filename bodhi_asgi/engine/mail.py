"""Chunks on their way from an engine's thread to their readers in the event loop.

One call into the event loop carries the chunks of all requests since the last. A reader that falls behind pauses its
own sequence and nobody else's.
"""

import asyncio
import threading
from collections import deque
from typing import Final

from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.types import Chunk

UNREAD_LIMIT: Final = 32
"""Chunks that may wait for a reader before its sequence is paused; it goes on when half of them have been read."""


class Mailbox:
    """The chunks of one request between the engine and its reader.

    ``unread`` and ``is_paused`` belong to both threads and are changed under the engine's guard.
    """

    def __init__(self) -> None:
        self.chunks: deque[Chunk] = deque()
        self.unread = 0
        self.is_paused = False
        self._arrived = asyncio.Event()

    def put(self, chunk: Chunk) -> None:
        self.chunks.append(chunk)
        self._arrived.set()

    async def get(self) -> Chunk:
        while not self.chunks:
            self._arrived.clear()
            await self._arrived.wait()
        return self.chunks.popleft()


class Mail:
    """The mailboxes of one engine loop, which is told here before it starts."""

    engine: EngineLoop

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._mailboxes: dict[str, Mailbox] = {}
        # Shared with the engine thread, under the guard:
        self._guard = threading.Lock()
        self._outbox: list[Chunk] = []

    def open(self, work_id: str) -> Mailbox:
        """A mailbox for a request that is about to be submitted."""
        mailbox = self._mailboxes[work_id] = Mailbox()
        return mailbox

    def close(self, work_id: str) -> None:
        """Nobody reads it any more."""
        del self._mailboxes[work_id]

    def has_read(self, work_id: str, mailbox: Mailbox) -> None:
        """The reader has taken one chunk."""
        with self._guard:
            mailbox.unread -= 1
            if mailbox.is_paused and mailbox.unread <= UNREAD_LIMIT // 2:
                mailbox.is_paused = False
                self.engine.resume(work_id)

    def deliver(self, chunks: list[Chunk]) -> None:
        """Called in the engine's thread, where a reader that falls behind is noticed in time."""
        for chunk in chunks:
            mailbox = self._mailboxes.get(chunk.work_id)
            if mailbox is not None:
                self._count(chunk, mailbox)
        with self._guard:
            is_first = not self._outbox
            self._outbox += chunks
        if is_first or self._loop.is_closed():
            self._wake()

    def _wake(self) -> None:
        """Once per batch: the pipe that wakes an event loop carries its signals too, and loses them when it is full."""
        try:
            self._loop.call_soon_threadsafe(self._post)
        except RuntimeError:
            # The event loop is closed, and with it everybody who could read.
            for chunk in self._take_outbox():
                if not chunk.is_final:
                    self.engine.cancel(chunk.work_id)

    def _count(self, chunk: Chunk, mailbox: Mailbox) -> None:
        """One more is unread. The engine is told under the guard: a pause after its own resume would last for good."""
        with self._guard:
            mailbox.unread += 1
            if mailbox.unread >= UNREAD_LIMIT and not mailbox.is_paused and not chunk.is_final:
                mailbox.is_paused = True
                self.engine.pause(chunk.work_id)

    def _post(self) -> None:
        for chunk in self._take_outbox():
            mailbox = self._mailboxes.get(chunk.work_id)
            if mailbox is not None:
                mailbox.put(chunk)

    def _take_outbox(self) -> list[Chunk]:
        with self._guard:
            chunks, self._outbox = self._outbox, []
            return chunks
