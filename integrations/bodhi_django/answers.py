"""An answer of our application as a response of Django's, read by Django or by its server, under ASGI or under WSGI.

Either kind stops the application when it is closed: that is what happens when the client goes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import Any, Final, Self

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse

from bodhi_asgi import BodhiApp
from bodhi_django.exchange import BODY_WANTED, PIECE_BYTES, Hand, Message, exchange
from bodhi_django.threads import give_back_thread

START: Final = "http.response.start"
EVENTS: Final = b"text/event-stream"


class AsyncAnswer(AsyncIterator[bytes]):
    """The pieces of an answer, on the event loop of the request."""

    def __init__(self, app: BodhiApp, scope: Any, request: HttpRequest) -> None:
        self._hand = Hand()
        self._messages = exchange(app, scope, self._hand)
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._closing: asyncio.Future[None] | None = None
        self._has_begun = False

    async def message(self) -> Message:
        """The next message. Raises StopAsyncIteration after the last."""
        while (message := await anext(self._messages))["type"] == BODY_WANTED:
            # Django has put a long body into a file.
            self._hand.piece = await asyncio.to_thread(self._request.read, PIECE_BYTES)
        return message

    async def __anext__(self) -> bytes:
        if not self._has_begun:  # all of Django's middleware has had its turn
            self._has_begun = True
            await give_back_thread()
        return bytes((await self.message()).get("body", b""))

    async def aclose(self) -> None:
        """Stop the application and wait until it has ended."""
        await self._messages.aclose()

    def close(self) -> None:
        """Stop the application. Django closes a response in another thread, whether or not it was read to its end."""
        with suppress(RuntimeError):  # a loop that is closed has ended everything on it
            self._loop.call_soon_threadsafe(self._begin_to_close)

    def _begin_to_close(self) -> None:
        self._closing = asyncio.ensure_future(self.aclose())


class SyncAnswer(Iterator[bytes]):
    """The same in the thread of the request, while the application runs on the loop in the background."""

    def __init__(self, app: BodhiApp, scope: Any, request: HttpRequest) -> None:
        self._hand = Hand()
        self._messages = app.sync().iterate(lambda _: exchange(app, scope, self._hand))
        self._request = request

    def message(self) -> Message:
        """The next message. Raises StopIteration after the last."""
        while (message := next(self._messages))["type"] == BODY_WANTED:
            self._hand.piece = self._request.read(PIECE_BYTES)
        return message

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> bytes:
        return bytes(self.message().get("body", b""))

    def close(self) -> None:
        """Stop the application and wait until it has ended. Idempotent."""
        self._messages.close()


def is_stream(start: Message) -> bool:
    """Whether an answer comes piece by piece; everything else is short and is read whole."""
    return any(name == b"content-type" and value.startswith(EVENTS) for name, value in start["headers"])


def whole(request: HttpRequest, start: Message, content: bytes) -> HttpResponseBase:
    """An answer that is here."""
    return _with_headers(HttpResponse(b"" if request.method == "HEAD" else content, status=start["status"]), start)


def streamed(start: Message, answer: AsyncAnswer | SyncAnswer) -> HttpResponseBase:
    """An answer that is still to come. Django's own compression would hold words back."""
    response = _with_headers(StreamingHttpResponse(answer, status=start["status"]), start)
    response.headers.setdefault("Content-Encoding", "identity")
    return response


def _with_headers(response: HttpResponseBase, start: Message) -> HttpResponseBase:
    del response.headers["Content-Type"]
    for name, value in start["headers"]:
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response
