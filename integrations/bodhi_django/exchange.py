"""One request given to an ASGI application by somebody who is no ASGI server, its messages read one by one.

The body is handed over as the application asks for it, in the thread and the moment the reader likes: some WSGI servers
let only the thread of a request read from it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
App: TypeAlias = Callable[[Any, Any, Any], Awaitable[None]]

PIECE_BYTES: Final = 64 * 1024
BODY_WANTED: Final = "bodhi_django.body_wanted"
"""The type of the message by which the application asks for the next piece of the body."""


@dataclass(slots=True)
class Hand:
    """Where the reader lays the next piece before it reads on; an empty one is the end of the body."""

    piece: bytes = b""


@dataclass(frozen=True, slots=True)
class _End:
    error: Exception | None


@dataclass(slots=True)
class _Exchange:
    """The application's side."""

    app: App
    scope: Any
    out: "asyncio.Queue[Message | _End]" = field(default_factory=lambda: asyncio.Queue(1))
    pieces: "asyncio.Queue[bytes]" = field(default_factory=asyncio.Queue)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    has_all: bool = False

    async def run(self) -> None:
        error = None
        try:
            await self.app(self.scope, self._receive, self._tell)
        except Exception as raised:  # handed to the reader
            error = raised
        await self._tell(_End(error))

    def end(self) -> None:
        """Nobody reads on: what the application still says goes nowhere, and it must not wait to say it."""
        self.gone.set()
        while not self.out.empty():
            self.out.get_nowait()

    async def _tell(self, message: "Message | _End") -> None:
        if not self.gone.is_set():
            await self.out.put(message)

    async def _receive(self) -> Message:
        if self.has_all or self.gone.is_set():
            await self.gone.wait()
            return {"type": "http.disconnect"}
        await self.out.put({"type": BODY_WANTED})
        piece = await self.pieces.get()
        self.has_all = not piece
        return {"type": "http.request", "body": piece, "more_body": bool(piece)}


async def exchange(app: App, scope: Any, hand: Hand) -> AsyncGenerator[Message]:
    """The messages of the application's answer, and between them its wishes for the body.

    Closing it, or cancelling who reads it, cancels the application and waits until it has ended. Raises what the
    application raises.
    """
    inside = _Exchange(app, scope)
    running = asyncio.create_task(inside.run(), name="bodhi-django-exchange")
    try:
        while not isinstance(message := await inside.out.get(), _End):
            yield message
            if message["type"] == BODY_WANTED:
                inside.pieces.put_nowait(hand.piece)
        if message.error is not None:
            raise message.error
    finally:
        inside.end()
        running.cancel()
        await asyncio.wait({running})
