"""``BodhiApp``: one server as an ASGI application, to be mounted, wrapped, or run alone.

No framework runs the lifespan of what is mounted in it, so there are three ways to start, all over the same leases: a
lifespan the host composes, ``install``, which composes it, and the first request when nobody did.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypedDict, TypeVar, cast
from weakref import WeakKeyDictionary

from starlette._utils import get_route_path
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import BodhiError, ConfigurationInvalid, NotStarted, Unavailable
from bodhi_asgi.facade import Bodhi, HasScope
from bodhi_asgi.http.app import HttpApp
from bodhi_asgi.http.drain import Drain
from bodhi_asgi.http.errors import dialect_of, error_response
from bodhi_asgi.http.lifespan import Lifespan, LifespanOf, serve_lifespan
from bodhi_asgi.http.lifespan import combine_lifespans as combine_lifespans
from bodhi_asgi.server import BodhiServer
from bodhi_asgi.settings.schema import BodhiServerConfig

log = logging.getLogger(__name__)

H = TypeVar("H", bound=Starlette)
STATE_KEY: Final = "bodhi"
WEBSOCKET_REFUSED: Final = 4404


class BodhiState(TypedDict):
    """What our lifespan adds to the host's state: ``request.state.bodhi``."""

    bodhi: Bodhi


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
        self._drain = Drain(self.server.begin_drain)
        self._mounts: WeakKeyDictionary[Starlette, set[str]] = WeakKeyDictionary()
        self._wraps = ""
        self._has_warned = False

    @property
    def status(self) -> str:
        """``new``, ``starting``, ``ready``, ``draining``, ``stopped`` or ``failed``."""
        return self.server.status

    @property
    def routes(self) -> list[BaseRoute]:
        """Our routes by name, for a host's ``url_for("bodhi:chat")``."""
        return self._http.routes

    def begin_drain(self) -> None:
        """Take nothing new; open streams end with a final ``server_shutting_down`` error."""
        self.server.begin_drain()

    async def ensure_started(self) -> Bodhi:
        """The verbs, acting for the host itself; starts the server if nobody has."""
        await self.server.lifecycle.ensure_started()
        return self.server

    async def aclose(self) -> None:
        """Stop the server, whoever started it. Idempotent."""
        await self.server.shutdown()

    def for_request(self, request: HasScope) -> Bodhi:
        """The verbs, bound to a request's own user."""
        return self.server.for_request(request)

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
        _require_asyncio()
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self._end_with_the_last_host)
            try:
                await stack.enter_async_context(self.server.lifecycle.lease())
            except BodhiError as error:
                log.critical("bodhi could not start: %s", error.message)
                if self.server.config.on_start_failure == "raise":
                    raise
            yield {"bodhi": self.server}

    async def _end_with_the_last_host(self) -> None:
        """Close also what a host's own start-up code had started before our lifespan was entered."""
        if self.server.lifecycle.leases == 0:
            await self.server.lifecycle.aclose()

    def install(self, app: H, path: str = "/bodhi") -> H:
        """Mount under ``path`` of a Starlette or FastAPI application and start and stop with it.

        Our start comes before the host's own, our stop after it; the host's state is kept. Installing again under the
        same path does nothing, under another path mounts the same server twice. Raises TypeError for another kind of
        host, and ConfigurationInvalid for one that runs already.
        """
        if not isinstance(app, Starlette):
            raise TypeError(f"install() knows Starlette and FastAPI, not {type(app).__name__}; use wrap()")
        path = _mount_path(path)
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
        return Wrapped(self, app, _mount_path(path))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(self.lifespan, scope, receive, send)
            return
        # What a guest adds to the scope must not reach the host: both the scope and its state are ours from here on.
        scope = {**scope, "state": {**scope.get("state", {})}}
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": WEBSOCKET_REFUSED, "reason": "there is no websocket here"})
            return
        home = self.server.lifecycle.loop
        if home is not None and home is not _this_loop():
            await _on_loop(home, self._serve, scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            _require_asyncio()
            self._warn_when_lazy(scope)
            await self.server.lifecycle.ensure_started()
        except BodhiError as error:
            await self._without_server(error, scope, receive, send)
            return
        with self._drain.watching():
            await self._http(scope, receive, send)

    async def _without_server(self, error: BodhiError, scope: Scope, receive: Receive, send: Send) -> None:
        """503 in the path's dialect; what liveness asks does not depend on the services."""
        path = get_route_path(scope)
        if self._http.is_open(str(scope["method"]), path) and _this_loop() is not None:
            await self._http(scope, receive, send)
            return
        log.error("a request found the server not started", extra={"code": error.code})
        shown = Unavailable("the language model server is not available", retry_after_s=5)
        await error_response(shown, dialect_of(path))(scope, receive, send)

    def _warn_when_lazy(self, scope: Scope) -> None:
        if self._has_warned or self.server.status != "new":
            return
        self._has_warned = True
        host = scope.get("app")
        if (self._wraps and host is None) or host in self._mounts:
            who = f"the server around {self._wraps or type(host).__name__}"
            cure = "run it with a server that does, such as uvicorn, hypercorn or granian"
        else:
            who = "the server" if host is None else type(host).__name__
            cure = "add lifespan=bodhi_app.lifespan to the host, or use bodhi_app.install(app, path)"
        log.warning("bodhi starts with its first request, because %s does not run its lifespan; %s", who, cure)


class BodhiMount(Mount):
    """A mount that serves its prefix without a slash too, where a host would redirect to an absolute address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] in ("http", "websocket") and get_route_path(scope) == self.path:
            root_path = scope.get("root_path", "")
            return Match.FULL, {
                "path_params": dict(scope.get("path_params", {})),
                "app_root_path": scope.get("app_root_path", root_path),
                "root_path": root_path + self.path,
                "endpoint": self.app,
            }
        return super().matches(scope)


class Wrapped:
    """Our application at a prefix, another one everywhere else."""

    def __init__(self, bodhi: BodhiApp, app: ASGIApp, path: str) -> None:
        self._bodhi = bodhi
        self._app = BodhiStateMiddleware(app, bodhi=bodhi)
        self._inner = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(combine_lifespans(self._bodhi.lifespan, self._inner_lifespan), scope, receive, send)
            return
        root_path = str(scope.get("root_path", ""))
        path = get_route_path(scope)
        if path == self._path or path.startswith(f"{self._path}/"):
            scope = {
                **scope,
                "app_root_path": scope.get("app_root_path", root_path),
                "root_path": root_path + self._path,
            }
            await self._bodhi(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    @asynccontextmanager
    async def _inner_lifespan(self, _: object) -> AsyncIterator[Mapping[str, Any]]:
        """The wrapped application's own lifespan; one that has none (Django raises at it) is left alone."""
        async with LifespanOf(self._inner) as state:
            yield state


class BodhiStateMiddleware:
    """Puts ``request.state.bodhi`` there also when no lifespan ran, on servers and test clients that send none."""

    def __init__(self, app: ASGIApp, bodhi: BodhiApp) -> None:
        self._app = app
        self._bodhi = bodhi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and STATE_KEY not in scope.get("state", ()):
            scope = {**scope, "state": {**scope.get("state", {}), STATE_KEY: self._bodhi.server}}
        await self._app(scope, receive, send)


def get_bodhi(connection: HasScope) -> Bodhi:
    """The verbs for the host itself, from a request or websocket of a host that we are installed or mounted in.

    Raises NotStarted when there are none.
    """
    bodhi = connection.scope.get("state", {}).get(STATE_KEY)
    if isinstance(bodhi, Bodhi):
        return bodhi
    # Mounted, and nobody ran our lifespan: the verbs start the server with their first use.
    for route in getattr(connection.scope.get("app"), "routes", ()):
        app = getattr(route, "app", None)
        if isinstance(app, BodhiApp):
            return app.server
    raise NotStarted("there is no request.state.bodhi: give the host lifespan=bodhi_app.lifespan, or install()")


async def _on_loop(home: asyncio.AbstractEventLoop, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request on the event loop the services live on, its messages passed between the two loops."""
    here = asyncio.get_running_loop()

    async def receive_there() -> Any:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(receive()), here))

    async def send_there(message: Any) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(send(message)), here))

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(app(scope, receive_there, send_there)), home))


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def _this_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop we run in; None in somebody else's kind of one."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _require_asyncio() -> None:
    if _this_loop() is None:
        raise NotStarted("bodhi runs on asyncio only; start the server with its asyncio worker, not with trio's")


def _mount_path(path: str) -> str:
    if not path.startswith("/") or path.rstrip("/") == "" or "//" in path:
        raise ConfigurationInvalid(f"the path is {path!r}: one such as '/bodhi' is accepted", param="path")
    return path.rstrip("/")
