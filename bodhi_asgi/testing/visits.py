"""A visitor of a host in a test: HTTP without a socket, whose streams come piece by piece as they are written.

The transports of httpx and the usual test clients wait for the end of a response before they show its beginning. Here
each piece is read when it is sent, and a response that is closed early is a client that has left.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx2
import orjson
from starlette.types import ASGIApp

from bodhi_asgi.http.lifespan import LifespanOf
from bodhi_asgi.outbound import client_over
from bodhi_asgi.testing.patience import PATIENCE_S, late

PIECES: Final = 16
"""That may lie between a host and a visitor who does not read; then the host waits, as on a socket that is full."""

DATA: Final = "data: "
DONE: Final = "[DONE]"


@asynccontextmanager
async def visiting(
    app: ASGIApp, *, base_url: str = "http://testserver", headers: Mapping[str, str] | None = None
) -> AsyncIterator[httpx2.AsyncClient]:
    """Start an ASGI application by its lifespan, and yield a client of it; at the end the application stops.

    An application without a lifespan is visited as it is. An exception of the application is raised where the client
    waits for it. Raises NotStarted when the application cannot start.
    """
    async with (
        LifespanOf(app) as state,
        client_over(StreamingTransport(app, state=state), base_url=base_url, headers=headers) as client,
    ):
        yield client


async def frames(response: httpx2.Response) -> AsyncIterator[dict[str, Any]]:
    """The JSON of each event of a stream, as they come, up to ``[DONE]``."""
    async for line in response.aiter_lines():
        if line == f"{DATA}{DONE}":
            return
        if line.startswith(DATA):
            yield orjson.loads(line.removeprefix(DATA))


class StreamingTransport(httpx2.AsyncBaseTransport):
    """For ``httpx2.AsyncClient(transport=…)``: an ASGI application answers. ``state`` is what its lifespan gave."""

    def __init__(self, app: ASGIApp, *, state: Mapping[str, Any] | None = None, root_path: str = "") -> None:
        self._app = app
        self._state = state or {}
        self._root_path = root_path

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        visit = Visit(await request.aread())
        scope = _scope(request, {"root_path": self._root_path, "state": dict(self._state)})
        visit.served = asyncio.create_task(visit.serve(self._app, scope), name="bodhi-test-visit")
        try:
            start = await visit.next()
        except BaseException:
            await visit.leave()
            raise
        assert start is not None, "the application has sent no response"
        return httpx2.Response(start["status"], headers=start.get("headers", []), stream=Body(visit))


def _scope(sent: httpx2.Request, more: Mapping[str, Any]) -> dict[str, Any]:
    """What a server would tell an application of a request that was sent to it."""
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": sent.method,
        "headers": [(name.lower(), value) for name, value in sent.headers.raw],
        "scheme": sent.url.scheme,
        "path": sent.url.path,
        "raw_path": sent.url.raw_path.partition(b"?")[0],
        "query_string": sent.url.query,
        "server": (sent.url.host, sent.url.port),
        "client": ("127.0.0.1", 123),
        **more,
    }


class Visit:
    """One request and its response, between the visitor and the application."""

    served: "asyncio.Task[None]"

    def __init__(self, body: bytes) -> None:
        self._request: list[dict[str, Any]] = [{"type": "http.request", "body": body, "more_body": False}]
        self._sent: asyncio.Queue[MutableMapping[str, Any] | None] = asyncio.Queue(PIECES)
        self._has_left = asyncio.Event()
        self._failure: Exception | None = None

    async def serve(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        """Let the application answer; what it raises is raised in the visitor."""
        try:
            await app(scope, self._receive, self._send)
        except Exception as error:
            self._failure = error
        await self._put(None)

    async def next(self) -> MutableMapping[str, Any] | None:
        """What the application sends next; None at its end. Raises what it has raised."""
        message = await self._sent.get()
        if message is None:
            self._raise()
        return message

    async def leave(self, *, at_the_end: bool = False) -> None:
        """Read no more. Raises AssertionError when the application goes on all the same.

        Of a visitor who has read all to the end, also what the application has raised behind that.
        """
        self._has_left.set()
        while not self._sent.empty():
            self._sent.get_nowait()
        _, left = await asyncio.wait([self.served], timeout=PATIENCE_S)
        if left:
            self.served.cancel()
            raise late("the application did not end after its visitor had left", PATIENCE_S)
        if at_the_end:
            self._raise()

    def _raise(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def _receive(self) -> dict[str, Any]:
        if self._request:
            return self._request.pop()
        await self._has_left.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: MutableMapping[str, Any]) -> None:
        await self._put(message)

    async def _put(self, message: MutableMapping[str, Any] | None) -> None:
        if self._has_left.is_set():
            return
        if not self._sent.full():
            self._sent.put_nowait(message)
            return
        putting = asyncio.ensure_future(self._sent.put(message))
        leaving = asyncio.ensure_future(self._has_left.wait())
        try:
            await asyncio.wait({putting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            putting.cancel()
            leaving.cancel()


class Body(httpx2.AsyncByteStream):
    """The pieces of a response, as they come."""

    def __init__(self, visit: Visit) -> None:
        self._visit = visit
        self._is_read = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while (message := await self._visit.next()) is not None:
            if message.get("body"):
                yield message["body"]
            if not message.get("more_body", False):
                self._is_read = True
                return

    async def aclose(self) -> None:
        await self._visit.leave(at_the_end=self._is_read)
