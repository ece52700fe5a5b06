"""The HTTP application: guard, authenticate, find the route, call its handler, answer. Nothing leaves it but responses.

Authentication comes before routing, so that a stranger learns nothing of what is there; the few open routes say so in
the table. Every exception ends here: logged once, answered in the route's dialect, never raised at the host.
"""

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Final
from urllib.parse import parse_qsl

from starlette._utils import get_route_path
from starlette.responses import Response
from starlette.routing import BaseRoute, compile_path
from starlette.routing import Route as StarletteRoute
from starlette.types import Message, Receive, Send
from starlette.types import Scope as AsgiScope

from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.caller import Caller
from bodhi_asgi.errors import BodhiError, Broken, MethodNotAllowed, NotFound, ShuttingDown
from bodhi_asgi.http.body import ClientGone, read_body
from bodhi_asgi.http.cors import Cors
from bodhi_asgi.http.errors import dialect_of, error_response
from bodhi_asgi.http.front import STREAMS
from bodhi_asgi.http.guard import HostGuard
from bodhi_asgi.http.route import Access, Call, Route
from bodhi_asgi.http.stream import RETRY_S, Departure, EventStream, send_stream, until_gone_or
from bodhi_asgi.http.table import routes
from bodhi_asgi.ids import new_id
from bodhi_asgi.server import BodhiServer

log = logging.getLogger(__name__)

UNKNOWN: Final = "unknown"
GRACE_S: Final = 2.0
"""Seconds that an answer which is not streamed has left when the server is told to stop."""
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"cache-control", b"no-store"),
)


class HttpApp:
    """One server over HTTP, under whatever prefix it is mounted.

    ``guard`` checks Host names where we own the socket.
    """

    def __init__(self, server: BodhiServer, *, guard: HostGuard | None = None, with_docs: bool = False) -> None:
        self._server = server
        self._guard = guard
        self._cors = Cors(server.config.cors_origins)
        self._routes = [(compile_path(route.path)[0], route) for route in routes(with_docs=with_docs)]

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        request = _Request(self, scope, receive, send)
        await request.serve()

    @property
    def routes(self) -> list[BaseRoute]:
        """The table as Starlette's routes, by which a host finds our addresses: ``url_for("bodhi:chat")``."""
        return [
            StarletteRoute(route.path, route.handler, methods=[route.method], name=route.name)
            for _, route in self._routes
        ]

    def is_open(self, method: str, path: str) -> bool:
        """Whether a path answers everybody, also where the services could not be started."""
        route, _, _ = self.find(method, path)
        return route is not None and route.access is Access.ANONYMOUS

    def find(self, method: str, path: str) -> tuple[Route | None, Mapping[str, str], list[str]]:
        """The route, its path parameters, and the methods that the path has at all. A slash at the end is optional."""
        if path.endswith("/") and path != "/":
            path = path[:-1]
        allowed: list[str] = []
        is_written_out = False
        for pattern, route in self._routes:
            found = pattern.match(path)
            # A path that stands in the table as it is, is nobody's parameter; such rows come first.
            if found is None or (is_written_out and "{" in route.path):
                continue
            is_written_out = is_written_out or "{" not in route.path
            if route.method == method or (route.method == "GET" and method == "HEAD"):
                return route, found.groupdict(), []
            allowed.append(route.method)
        return None, {}, allowed


class _Request:
    """One request from its first line to the last byte of its answer."""

    def __init__(self, app: HttpApp, scope: AsgiScope, receive: Receive, send: Send) -> None:
        self._app = app
        self._server = app._server
        self._scope = scope
        self._receive = receive
        self._departure = Departure(receive)
        self._send = send
        self._connection = Connection(scope)
        self._path = get_route_path(scope) or "/"
        self._route, self._parameters, self._allowed = app.find(self._connection.method, self._path)
        self._dialect = self._route.dialect if self._route else dialect_of(self._path)
        self._request_id = new_id()
        self._status = 0

    async def serve(self) -> None:
        began = time.monotonic()
        try:
            await self._answer()
        except ClientGone:
            pass
        except BodhiError as error:
            await self._fail(error)
        except Exception as error:
            log.exception("a request failed", extra={"request_id": self._request_id, "route": self._name})
            await self._fail(error)
        finally:
            await self._departure.stop_listening()
            self._measure(time.monotonic() - began)

    async def _answer(self) -> None:
        preflight = self._app._cors.preflight(self._connection)
        if preflight is not None:
            await preflight(self._scope, self._receive, self._sending)
            return
        if self._app._guard is not None:
            self._app._guard.check(self._connection)
        caller = await self._admitted()
        route = self._route
        if route is None:
            raise self._not_there()
        with self._server.lifecycle.in_use() if caller is not None else nullcontext():
            await self._handle(route, caller)

    async def _handle(self, route: Route, caller: Caller | None) -> None:
        limit = self._server.config.limits.body_bytes
        body = await read_body(self._connection, self._receive, limit) if route.reads_body else b""
        call = Call(
            server=self._server,
            connection=self._connection,
            path=self._parameters,
            query=dict(parse_qsl(self._scope.get("query_string", b"").decode("latin-1"), keep_blank_values=True)),
            body=body,
            request_id=self._request_id,
            known_caller=caller,
        )
        handling = asyncio.ensure_future(route.handler(call))
        if not await until_gone_or(handling, self._departure.receive, self._end_of_drain() if caller else None):
            raise ClientGone
        answer = handling.result()
        if self._departure.has_happened:
            if isinstance(answer, EventStream):
                await answer.aclose()
            raise ClientGone
        await self._respond(answer)

    async def _end_of_drain(self) -> None:
        """Returns when the server has been stopping for so long that no answer can be waited for any more."""
        await self._server.lifecycle.wait_draining()
        await asyncio.sleep(GRACE_S)

    async def _admitted(self) -> Caller | None:
        """The caller, whom the route's rule lets in. Open routes ask nobody and work without a started server."""
        access = self._route.access if self._route else Access.AUTHENTICATED
        if access is Access.ANONYMOUS:
            return None
        services = await self._server.lifecycle.ensure_started()
        if self._server.lifecycle.draining:
            raise ShuttingDown("the server is shutting down and takes nothing new", retry_after_s=RETRY_S)
        caller = await services.gate.caller_of(self._scope)
        if not isinstance(access, Access):
            caller.require(access)
        return caller

    async def _respond(self, answer: Response | EventStream) -> None:
        if isinstance(answer, Response):
            await answer(self._scope, self._receive, self._sending)
            return
        self._scope.get(STREAMS, []).append(answer.error_frame)
        await send_stream(
            answer,
            self._departure.receive,
            self._sending,
            headers=[],
            draining=self._server.lifecycle.wait_draining,
            on_error=self._failed_in_stream,
        )

    async def _sending(self, message: Message) -> None:
        """Send, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            own = {name.lower() for name, _ in message.get("headers", ())}
            extra = [header for header in SECURITY_HEADERS if header[0] not in own]
            extra.append((b"x-request-id", self._request_id.encode()))
            extra += self._app._cors.headers(self._connection)
            message = {**message, "headers": [*message.get("headers", ()), *extra]}
        await self._send(message)

    async def _fail(self, error: Exception) -> None:
        if self._status:
            return  # the answer has begun; its stream has said what it could
        shown = error if isinstance(error, BodhiError) else Broken("something went wrong on our side")
        await error_response(shown, self._dialect)(self._scope, self._receive, self._sending)

    def _failed_in_stream(self, error: BaseException) -> None:
        facts = {"request_id": self._request_id, "route": self._name}
        if isinstance(error, BodhiError):
            log.info("a stream ended with an error", extra={**facts, "code": error.code})
        else:
            log.error("a stream failed", exc_info=error, extra=facts)

    def _not_there(self) -> BodhiError:
        if self._allowed:
            allowed = ", ".join(sorted(set(self._allowed)))
            return MethodNotAllowed(f"{self._connection.method} is not accepted here; {allowed} is", allowed=allowed)
        return NotFound(f"there is nothing at {_shown(self._path)}")

    @property
    def _name(self) -> str:
        return self._route.name if self._route else UNKNOWN

    def _measure(self, seconds: float) -> None:
        if self._server.status in ("ready", "draining"):
            meters = self._server.services.meters
            meters.requests.inc(1, route=self._name, status=str(self._status or 499))
            meters.request_s.observe(seconds, route=self._name)


def _shown(path: str) -> str:
    return re.sub(r"[^\x20-\x7e]", "?", path)[:200]
