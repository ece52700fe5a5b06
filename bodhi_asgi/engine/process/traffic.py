"""Requests on their way through the engine process: sessions on one side, the engine loop on the other.

Chunks are counted against each reader's credits in the engine thread, so that a pause comes in time, and written there
too, one frame per step and host. The socket's thread has nothing to do with most steps.
"""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bodhi_asgi.engine.errors import EngineLost, EngineStopped
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.occupancy import Occupancy
from bodhi_asgi.engine.process.admission import Admission
from bodhi_asgi.engine.process.protocol import CREDITS, Row, chunk_frames, chunk_to_row
from bodhi_asgi.engine.process.session import Session
from bodhi_asgi.engine.runner import Runner
from bodhi_asgi.engine.types import Chunk, Job, ModelSpec

PATIENCE_S: Final = 5.0
"""How long a suspect, and the line behind it, waits for running answers to finish before it enters beside them."""


class Request:
    """One request under way: whose it is, and how much its reader may still be sent."""

    __slots__ = ("credits", "is_paused", "is_shown", "number", "session", "work")

    def __init__(self, session: Session, number: int, work: Job) -> None:
        self.session = session
        self.number = number
        self.work = work
        self.credits = CREDITS
        self.is_paused = False
        self.is_shown = False


class Traffic:
    """Owns the engine loop. All methods but ``_deliver`` belong to the thread of the socket's event loop.

    ``failed`` is called when the engine loop has ended by itself; its requests are not answered then, because for their
    hosts that is a death like any other. ``rested`` is called when the last request has gone, ``loading`` in the engine
    thread as the model is loaded.
    """

    def __init__(
        self,
        spec: ModelSpec,
        runner: Runner,
        *,
        failed: Callable[[], None],
        rested: Callable[[], None],
        loading: Callable[[float], None],
    ) -> None:
        self._failed = failed
        self._rested = rested
        self.engine: Final = EngineLoop(runner, spec, self._deliver, loading=loading)
        self._loop = asyncio.get_running_loop()
        self.occupancy: Final = Occupancy(spec.keep_alive_s, self._loop.time())
        self._admission = Admission(self._admit)
        self._patience: asyncio.TimerHandle | None = None
        # Shared with the engine thread, under the guard:
        self._guard = threading.Lock()
        self._requests: dict[str, Request] = {}

    @property
    def under_way(self) -> int:
        """How many requests are waiting or running, of all hosts."""
        return len(self._requests)

    def submit(self, session: Session, number: int, work: Job, *, alone: bool) -> None:
        """Take a request. ``alone``: it was under way when an engine died. Raises ValueError for a number in use."""
        inner_id = _inner_id(session, number)
        inner = replace(work, id=inner_id)
        with self._guard:
            if inner_id in self._requests:
                raise ValueError("a request id that is already under way")
            self._requests[inner_id] = Request(session, number, inner)
        self.occupancy.began(work.keep_alive_s)
        self._admission.arrive(inner_id, alone=alone)
        if self._admission.is_held_up and self._patience is None:
            self._patience = self._loop.call_later(PATIENCE_S, self._lose_patience)

    def cancel(self, session: Session, number: int) -> None:
        """End a request, if it is still there."""
        inner_id = _inner_id(session, number)
        with self._guard:
            known = self._requests.pop(inner_id, None)
        if known is not None:
            self.engine.cancel(inner_id)
            self._leave(inner_id)

    def cancel_all(self, session: Session) -> None:
        """End everything a host has under way."""
        with self._guard:
            numbers = [request.number for request in self._requests.values() if request.session is session]
        for number in numbers:
            self.cancel(session, number)

    def credit(self, session: Session, number: int, chunks: int) -> None:
        """The reader of a request has taken so many chunks."""
        inner_id = _inner_id(session, number)
        with self._guard:
            request = self._requests.get(inner_id)
            if request is None:
                return
            request.credits += chunks
            if request.is_paused and request.credits > 0:
                request.is_paused = False
                self.engine.resume(inner_id)

    def _leave(self, inner_id: str) -> None:
        """A request is over, however that came about."""
        self._admission.leave(inner_id)
        self.occupancy.ended(self._loop.time())
        if not self.occupancy.is_busy:
            self._rested()

    def _lose_patience(self) -> None:
        self._patience = None
        if self._admission.is_held_up:
            self._admission.hurry()
            if self._admission.is_held_up:
                self._patience = self._loop.call_later(PATIENCE_S, self._lose_patience)

    def _admit(self, inner_id: str) -> None:
        request = self._requests[inner_id]
        # Said before the engine can die of it: it is by this word that a host tells a culprit from a bystander.
        request.session.send({"op": "started", "id": request.number})
        self.engine.submit(request.work)

    def _deliver(self, chunks: list[Chunk]) -> None:
        # Called in the engine thread, once per step. A reader who has no credit left waits for what it has coming.
        rows: dict[Session, list[Row]] = {}
        proven: list[str] = []
        finished: list[str] = []
        with self._guard:
            for chunk in chunks:
                request = self._requests.get(chunk.work_id)
                if request is None:
                    continue
                if isinstance(chunk.error, EngineLost | EngineStopped):
                    self._call(self._failed)
                    return
                rows.setdefault(request.session, []).append(chunk_to_row(request.number, chunk))
                if chunk.is_final:
                    del self._requests[chunk.work_id]
                    finished.append(chunk.work_id)
                else:
                    self._count(chunk, request, proven)
        for session, theirs in rows.items():
            for frame in chunk_frames(theirs):
                session.write(frame)
        if proven or finished:
            self._call(self._note, proven, finished)

    def _count(self, chunk: Chunk, request: Request, proven: list[str]) -> None:
        request.credits -= 1
        if request.credits <= 0 and not request.is_paused:
            request.is_paused = True
            self.engine.pause(chunk.work_id)
        if not request.is_shown and chunk.has_content:
            request.is_shown = True
            proven.append(chunk.work_id)

    def _call(self, function: Callable[..., None], *arguments: object) -> None:
        with contextlib.suppress(RuntimeError):  # the socket's loop has ended already
            self._loop.call_soon_threadsafe(function, *arguments)

    def _note(self, proven: list[str], finished: list[str]) -> None:
        for inner_id in proven:
            self._admission.prove(inner_id)
        for inner_id in finished:
            self._leave(inner_id)


def _inner_id(session: Session, number: int) -> str:
    return f"{session.number}.{number}"
