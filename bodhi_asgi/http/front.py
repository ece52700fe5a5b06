"""A request as somebody of ours sees it who stands in front of the host: he says the last word of what is cut.

A server that stops cancels what is open. Some hosts pass nothing on any more from then on (Starlette's
``BaseHTTPMiddleware``), or leave alone the task that streams (Django), so that a stream of ours behind them cannot end
itself.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bodhi_asgi.errors import BodhiError, ShuttingDown
from bodhi_asgi.http.stream import CANCELLED_WORD_S, ENDED

STREAMS: Final = "bodhi_asgi.streams"
"""In the scope of a request that somebody of ours stands in front of: how its streams say an error."""
PLAIN: Final = (b"", b"identity")
"""Encodings in which an event of ours is read as it is."""


async def in_front(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request of the host ``app``; when it is cancelled, the outermost of us ends its stream."""
    if STREAMS in scope:
        await app(scope, receive, send)
        return
    front = _Front(send)
    try:
        await app({**scope, STREAMS: front.streams}, receive, front.send)
    except asyncio.CancelledError:
        await front.say_last_word()
        raise


class _Front:
    """What has passed of an answer."""

    __slots__ = ("_has_ended", "_has_spoken", "_is_readable", "_send", "streams")

    def __init__(self, send: Send) -> None:
        self.streams: list[Callable[[BodhiError], bytes]] = []
        self._send = send
        self._is_readable = False
        self._has_ended = self._has_spoken = False

    def send(self, message: Message) -> Awaitable[None]:
        """Pass it on; what is no stream of ours, which is nearly all that a host says, at once."""
        return self._watched(message) if self.streams else self._send(message)

    async def _watched(self, message: Message) -> None:
        if self._has_spoken:
            return  # Django goes on with what it was cancelled in
        if message["type"] == "http.response.start":
            encodings = [value for name, value in message.get("headers", ()) if name.lower() == b"content-encoding"]
            self._is_readable = all(value in PLAIN for value in encodings)
        elif message["type"] == "http.response.body":
            self._has_ended = not message.get("more_body", False)
        await self._send(message)

    async def say_last_word(self) -> None:
        """End a stream of ours that has begun and has not been ended from behind."""
        if not self.streams or not self._is_readable or self._has_ended:
            return
        self._has_spoken = True
        with suppress(TimeoutError):
            async with asyncio.timeout(CANCELLED_WORD_S):
                word = self.streams[-1](ShuttingDown(ENDED))
                await self._send({"type": "http.response.body", "body": word, "more_body": False})
