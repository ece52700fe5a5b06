"""The engine in a thread of the host: for scripts, notebooks and tests. A crash of the model is a crash of the host.

One call into the event loop carries the chunks of all requests since the last. A reader that falls behind pauses its
own sequence and nobody else's.
"""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final

from bodhi_asgi.engine.errors import EngineStopped
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.runner import make_runner
from bodhi_asgi.engine.types import Chunk, EngineStats, Job, ModelFacts, ModelSpec
from bodhi_asgi.errors import NotStarted
from bodhi_asgi.messages import Delta

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


class ThreadEngine:
    """One model in a thread named ``bodhi-engine-<model>``; it belongs to the event loop that started it."""

    def __init__(self, spec: ModelSpec) -> None:
        self._spec = spec
        self._mailboxes: dict[str, Mailbox] = {}
        self._engine: EngineLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False
        # Shared with the engine thread, under the guard:
        self._guard = threading.Lock()
        self._outbox: list[Chunk] = []

    @property
    def is_running(self) -> bool:
        """Whether the model is loaded and its thread has not ended."""
        engine = self._engine
        return engine is not None and not engine.has_ended and engine.ready.done()

    async def start(self) -> ModelFacts:
        """Load the model in its thread, again if that had ended. Idempotent.

        Raises ModelLoadFailed, MissingDependency, EngineStopped.
        """
        self._refuse_when_closed()
        if self._engine is None or self._engine.has_ended:
            engine = EngineLoop(make_runner(self._spec), self._spec, self._deliver)
            self._loop = asyncio.get_running_loop()
            self._engine = engine
            engine.start()
        return await asyncio.shield(asyncio.wrap_future(self._engine.ready))

    async def submit(self, work: Job) -> AsyncGenerator[Delta]:
        """Run one request; see :class:`~bodhi_asgi.engine.types.Engine`."""
        self._refuse_when_closed()
        engine = self._engine
        if engine is None or self._loop is not asyncio.get_running_loop():
            raise NotStarted("the engine is not started in this event loop")
        mailbox = self._mailboxes[work.id] = Mailbox()
        engine.submit(work)
        is_over = False
        try:
            while not is_over:
                chunk = await mailbox.get()
                is_over = chunk.is_final
                if chunk.error is not None:
                    raise chunk.error
                self._has_read(engine, work.id, mailbox)
                yield Delta(chunk.text, chunk.finish, chunk.usage, part=chunk.part, opening=chunk.opening)
        finally:
            del self._mailboxes[work.id]
            if not is_over:
                engine.cancel(work.id)

    async def stats(self) -> EngineStats:
        return self._engine.stats() if self._engine is not None else EngineStats(slots_total=self._spec.slots)

    async def aclose(self) -> None:
        """End all work with EngineStopped and unload. Idempotent."""
        self._is_closed = True
        if self._engine is not None:
            await asyncio.to_thread(self._engine.stop)

    def _has_read(self, engine: EngineLoop, work_id: str, mailbox: Mailbox) -> None:
        with self._guard:
            mailbox.unread -= 1
            if mailbox.is_paused and mailbox.unread <= UNREAD_LIMIT // 2:
                mailbox.is_paused = False
                engine.resume(work_id)

    def _deliver(self, chunks: list[Chunk]) -> None:
        """Called in the engine's thread, where a reader that falls behind is noticed in time."""
        assert self._loop is not None
        assert self._engine is not None
        for chunk in chunks:
            mailbox = self._mailboxes.get(chunk.work_id)
            if mailbox is not None:
                self._count(self._engine, chunk, mailbox)
        with self._guard:
            is_first = not self._outbox
            self._outbox += chunks
        if is_first or self._loop.is_closed():
            self._wake()

    def _wake(self) -> None:
        """Once per batch: the pipe that wakes an event loop carries its signals too, and loses them when it is full."""
        assert self._loop is not None
        assert self._engine is not None
        try:
            self._loop.call_soon_threadsafe(self._post)
        except RuntimeError:
            # The event loop is closed, and with it everybody who could read.
            for chunk in self._take_outbox():
                if not chunk.is_final:
                    self._engine.cancel(chunk.work_id)

    def _count(self, engine: EngineLoop, chunk: Chunk, mailbox: Mailbox) -> None:
        """One more is unread. The engine is told under the guard: a pause after its own resume would last for good."""
        with self._guard:
            mailbox.unread += 1
            if mailbox.unread >= UNREAD_LIMIT and not mailbox.is_paused and not chunk.is_final:
                mailbox.is_paused = True
                engine.pause(chunk.work_id)

    def _post(self) -> None:
        for chunk in self._take_outbox():
            mailbox = self._mailboxes.get(chunk.work_id)
            if mailbox is not None:
                mailbox.put(chunk)

    def _take_outbox(self) -> list[Chunk]:
        with self._guard:
            chunks, self._outbox = self._outbox, []
            return chunks

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise EngineStopped("the engine is closed")
