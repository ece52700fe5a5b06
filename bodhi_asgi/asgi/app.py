"""``BodhiApp``: one server as an ASGI application, to be mounted, wrapped, or run alone.

No framework runs the lifespan of what is mounted in it, so there are three ways to start, all over the same leases: a
lifespan the host composes, ``install``, which composes it, and the first request when nobody did.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast
from weakref import WeakKeyDictionary

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi.asgi.loops import require_asyncio, serve_on
from bodhi_asgi.asgi.mount import BodhiMount, Wrapped, mount_path, whole_path
from bodhi_asgi.asgi.state import BodhiState, BodhiStateMiddleware
from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import BodhiError, ConfigurationInvalid, Unavailable
from bodhi_asgi.facade import Bodhi, HasScope
from bodhi_asgi.http.app import HttpApp
from bodhi_asgi.http.drain import Drain
from bodhi_asgi.http.errors import dialect_of, error_response
from bodhi_asgi.http.lifespan import Lifespan, combine_lifespans, serve_lifespan
from bodhi_asgi.http.openapi import document
from bodhi_asgi.http.table import routes
from bodhi_asgi.loops import this_loop
from bodhi_asgi.server import BodhiServer
from bodhi_asgi.settings.schema import BodhiServerConfig
from bodhi_asgi.sync.background import BACKGROUND
from bodhi_asgi.types import JSONObject

if TYPE_CHECKING:
    from bodhi_asgi.sync.server import SyncBodhiServer

log = logging.getLogger(__name__)

H = TypeVar("H", bound=Starlette)
WEBSOCKET_REFUSED: Final = 4404


class BodhiApp:
    """A complete LLM server as an ASGI application. Building one touches nothing; it starts with its host.

    ``identity`` says who the host's user is: a callback from a connection to a ``Caller`` or None, or ``"host"`` for
    the user that the host's authentication put into the scope. Without it only API tokens are let in. Keyword
    arguments are fields of :class:`BodhiServerConfig`.
    """

    def __init__(
        self,
        config: BodhiServerConfig | None = None,
        *,
        identity: Identity | None = None,
        clock: Clock | None = None,
        **settings: Any,
    ) -> None:
        self.server = BodhiServer(config, identity=identity, clock=clock, **settings)
        self._http = HttpApp(self.server, with_docs=bool(self.server.config.docs))
        self._drain = Drain(self.server.begin_drain, signals=self.server.config.drain_on_signals, stop=self.aclose)
        self.server.lifecycle.while_streaming = self._drain
        self._mounts: WeakKeyDictionary[Starlette, set[str]] = WeakKeyDictionary()
        self._wraps = ""
        self._has_warned = False
        self.lifespan_advice = "add lifespan=bodhi_app.lifespan to the host, or use bodhi_app.install(app, path)"
        """What a host should do that does not run our lifespan, for the log; integrations say what theirs should."""

    @property
    def status(self) -> str:
        """``new``, ``starting``, ``ready``, ``draining``, ``stopped`` or ``failed``."""
        return self.server.status

    @property
    def routes(self) -> list[BaseRoute]:
        """Our routes by name, for a host's ``url_for("bodhi:chat")``."""
        return self._http.routes

    def openapi(self, server_url: str = "/") -> JSONObject:
        """The OpenAPI 3.1 document of our routes, for a host that shows it beside its own; paths start at the mount."""
        return document(routes(with_docs=False), server_url=server_url)

    def begin_drain(self) -> None:
        """Take nothing new; open streams end with a final ``server_shutting_down`` error."""
        self.server.begin_drain()

    async def ensure_started(self) -> Bodhi:
        """The verbs, acting for the host itself; starts the server if nobody has."""
        await self.server.lifecycle.ensure_started()
        return self.server

    async def aclose(self) -> None:
        """Stop the server, whoever started it. Idempotent."""
        self._drain.close()
        await self.server.shutdown()

    def for_request(self, request: HasScope) -> Bodhi:
        """The verbs, bound to a request's own user."""
        return self.server.for_request(request)

    def sync(self) -> "SyncBodhiServer":
        """The verbs for scripts, WSGI and workers: ``with bodhi_app.sync() as bodhi``. Always the same ones."""
        return self.server.sync()

    async def __aenter__(self) -> Bodhi:
        return await self.server.start()

    async def __aexit__(self, *exc_info: object) -> None:
        await self.server.shutdown()

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncIterator[BodhiState]:  # noqa: ARG002
        """The lifespan to give to a host: starts the server, yields the state, stops the server.

        With ``on_start_failure = "degrade"`` a failed start is logged and the host goes on; below the mount 503 is
        said.
        """
        require_asyncio()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end_with_the_last_host)
            try:
                await stack.enter_async_context(self.server.lifecycle.lease())
            except BodhiError as error:
                log.critical("bodhi could not start: %s", error.message)
                if self.server.config.on_start_failure == "raise":
                    raise
            self._drain.listen()
            yield {"bodhi": self.server}

    async def _end_with_the_last_host(self) -> None:
        """Close also what a host's own start-up code had started before our lifespan was entered."""
        if self.server.lifecycle.leases == 0:
            self._drain.close()
            await self.server.lifecycle.aclose()

    def install(self, app: H, path: str = "/bodhi") -> H:
        """Mount under ``path`` of a Starlette or FastAPI application and start and stop with it.

        Our start comes before the host's own, our stop after it; the host's state is kept. Installing again under the
        same path does nothing, under another path mounts the same server twice. Raises TypeError for another kind of
        host, and ConfigurationInvalid for one that runs already.
        """
        if not isinstance(app, Starlette):
            raise TypeError(f"install() knows Starlette and FastAPI, not {type(app).__name__}; use wrap()")
        path = mount_path(path)
        mounts = self._mounts.setdefault(app, set())
        if path in mounts:
            return app
        if app.middleware_stack is not None:
            raise ConfigurationInvalid(
                "install() came after the application had started; call it where the application is built", param="app"
            )
        if not mounts:
            hosts_own: Lifespan = app.router.lifespan_context
            app.router.lifespan_context = cast("Any", combine_lifespans(self.lifespan, hosts_own))
            app.add_middleware(BodhiStateMiddleware, bodhi=self)
        app.router.routes.append(BodhiMount(path, app=self, name="bodhi"))
        mounts.add(path)
        return app

    def wrap(self, app: ASGIApp, path: str = "/bodhi") -> ASGIApp:
        """Put any ASGI application behind us: ``path`` is ours, everything else goes to it, lifespan to both.

        For hosts without a mount of their own, such as Django's ``get_asgi_application()``.
        """
        self._wraps = type(app).__name__
        return Wrapped(self, app, mount_path(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(self.lifespan, scope, receive, send)
            return
        # What a guest adds to the scope must not reach the host: both the scope and its state are ours from here on.
        scope = {**scope, "path": whole_path(scope), "state": {**scope.get("state", {})}}
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": WEBSOCKET_REFUSED, "reason": "there is no websocket here"})
            return
        home = self.server.lifecycle.loop
        if home is not None and home is not this_loop():
            await serve_on(home, self._serve, scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            require_asyncio()
            self._warn_when_lazy(scope)
            await self.server.lifecycle.ensure_started()
        except BodhiError as error:
            await self._without_server(error, scope, receive, send)
            return
        with self._drain:
            await self._http(scope, receive, send)

    async def _without_server(self, error: BodhiError, scope: Scope, receive: Receive, send: Send) -> None:
        """503 in the path's dialect; what liveness asks does not depend on the services."""
        path = get_route_path(scope)
        if self._http.is_open(str(scope["method"]), path) and this_loop() is not None:
            await self._http(scope, receive, send)
            return
        log.error("a request found the server not started", extra={"code": error.code})
        shown = Unavailable("the language model server is not available", retry_after_s=5)
        await error_response(shown, dialect_of(path))(scope, receive, send)

    def _warn_when_lazy(self, scope: Scope) -> None:
        if self._has_warned or self.server.status != "new" or BACKGROUND.is_on(asyncio.get_running_loop()):
            return  # the loop in the background is for those who have no lifespans
        self._has_warned = True
        host = scope.get("app")
        if (self._wraps and host is None) or host in self._mounts:
            who = f"the server around {self._wraps or type(host).__name__}"
            cure = "run it with a server that does, such as uvicorn, hypercorn or granian"
        else:
            who = "the server" if host is None else type(host).__name__
            cure = self.lifespan_advice
        log.warning("bodhi starts with its first request, because %s does not run its lifespan; %s", who, cure)
