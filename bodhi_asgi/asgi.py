"""``BodhiApp``: one server as an ASGI application, to be mounted, wrapped, or run alone.

No framework runs the lifespan of what is mounted in it, so there are three ways to start, all over the same leases: a
lifespan the host composes, ``install``, which composes it, and the first request when nobody did.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, MutableMapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, Final, TypeAlias, TypedDict, TypeVar, cast

from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import BodhiError, ConfigurationInvalid, NotStarted, Unavailable
from bodhi_asgi.facade import Bodhi, HasScope
from bodhi_asgi.http.app import HttpApp
from bodhi_asgi.http.drain import Drain
from bodhi_asgi.http.errors import dialect_of, error_response
from bodhi_asgi.server import BodhiServer
from bodhi_asgi.settings.schema import BodhiServerConfig

log = logging.getLogger(__name__)

H = TypeVar("H", bound=Starlette)
Lifespan: TypeAlias = Callable[[Any], AbstractAsyncContextManager[Mapping[str, Any] | None]]

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
        self._mounts: dict[int, set[str]] = {}
        self._has_warned = False

    @property
    def status(self) -> str:
        """``new``, ``starting``, ``ready``, ``draining``, ``stopped`` or ``failed``."""
        return self.server.status

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
        async with AsyncExitStack() as stack:
            try:
                await stack.enter_async_context(self.server.lifecycle.lease())
            except BodhiError as error:
                log.critical("bodhi could not start: %s", error.message)
                if self.server.config.on_start_failure == "raise":
                    raise
            yield {"bodhi": self.server}

    def install(self, app: H, path: str = "/bodhi") -> H:
        """Mount under ``path`` of a Starlette or FastAPI application and start and stop with it.

        Our start comes before the host's own, our stop after it; the host's state is kept. Installing again under the
        same path does nothing, under another path mounts the same server twice. Raises TypeError for another kind of
        host, and ConfigurationInvalid for one that runs already.
        """
        if not isinstance(app, Starlette):
            raise TypeError(f"install() knows Starlette and FastAPI, not {type(app).__name__}; use wrap()")
        path = _mount_path(path)
        mounts = self._mounts.setdefault(id(app), set())
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
        app.router.routes.append(Mount(path, app=self, name="bodhi"))
        mounts.add(path)
        return app

    def wrap(self, app: ASGIApp, path: str = "/bodhi") -> ASGIApp:
        """Put any ASGI application behind us: ``path`` is ours, everything else goes to it, lifespan to both.

        For hosts without a mount of their own, such as Django's ``get_asgi_application()``.
        """
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
        if home is not None and home is not asyncio.get_running_loop():
            await _on_loop(home, self._serve, scope, receive, send)
        else:
            await self._serve(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._warn_when_lazy(scope)
            await self.server.lifecycle.ensure_started()
        except BodhiError as error:
            await self._without_server(error, scope, receive, send)
            return
        with self._drain.watching():
            await self._http(scope, receive, send)

    async def _without_server(self, error: BodhiError, scope: Scope, receive: Receive, send: Send) -> None:
        """503 in the path's dialect; what liveness asks does not depend on the services."""
        path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
        if path in ("/ping", "/health", "/health/live", "/health/ready"):
            await self._http(scope, receive, send)
            return
        log.error("a request found the server not started", extra={"code": error.code})
        shown = Unavailable("the language model server is not available", retry_after_s=5)
        await error_response(shown, dialect_of(path))(scope, receive, send)

    def _warn_when_lazy(self, scope: Scope) -> None:
        if self._has_warned or self.server.status != "new":
            return
        self._has_warned = True
        host = type(scope["app"]).__name__ if "app" in scope else "the host"
        log.warning(
            "bodhi starts with its first request, because %s does not run its lifespan; "
            "add lifespan=bodhi_app.lifespan to the host, or use bodhi_app.install(app, path)",
            host,
        )


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
        path = str(scope["path"]).removeprefix(root_path)
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


class LifespanOf:
    """Runs the lifespan of an ASGI application as a context manager that yields its state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[MutableMapping[str, Any]] = asyncio.Queue()
        self._state: dict[str, Any] = {}
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Mapping[str, Any]:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self._state}
        self._task = asyncio.ensure_future(self._app(scope, self._to_app.get, self._from_app.put))
        self._to_app.put_nowait({"type": "lifespan.startup"})
        answer = await self._answer()
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            raise NotStarted(f"the wrapped application could not start: {answer.get('message', '')}")
        return self._state

    async def __aexit__(self, *exc_info: object) -> None:
        if self._task is not None and not self._task.done():
            self._to_app.put_nowait({"type": "lifespan.shutdown"})
            await self._answer()
            await asyncio.wait([self._task])

    async def _answer(self) -> MutableMapping[str, Any] | None:
        """What the application says next; None when it knows no lifespan and has returned or raised."""
        assert self._task is not None
        answer = asyncio.ensure_future(self._from_app.get())
        await asyncio.wait({answer, self._task}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        if self._task.exception() is not None:
            log.debug("the wrapped application has no lifespan", exc_info=self._task.exception())
        return None


class BodhiStateMiddleware:
    """Puts ``request.state.bodhi`` there also when no lifespan ran, on servers and test clients that send none."""

    def __init__(self, app: ASGIApp, bodhi: BodhiApp) -> None:
        self._app = app
        self._bodhi = bodhi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and STATE_KEY not in scope.get("state", ()):
            scope = {**scope, "state": {**scope.get("state", {}), STATE_KEY: self._bodhi.server}}
        await self._app(scope, receive, send)


def combine_lifespans(*lifespans: Lifespan) -> Lifespan:
    """One lifespan of several: entered in order, left in reverse, their states merged, later ones winning."""

    @asynccontextmanager
    async def combined(app: Any) -> AsyncIterator[dict[str, Any]]:
        state: dict[str, Any] = {}
        async with AsyncExitStack() as stack:
            for lifespan in lifespans:
                added = await stack.enter_async_context(lifespan(app))
                state.update(added or {})
            yield state

    return combined


def get_bodhi(connection: HasScope) -> Bodhi:
    """The verbs for the host itself, from a request or websocket. Raises NotStarted when there are none."""
    bodhi = connection.scope.get("state", {}).get(STATE_KEY)
    if not isinstance(bodhi, Bodhi):
        raise NotStarted("there is no request.state.bodhi: give the host lifespan=bodhi_app.lifespan, or install()")
    return bodhi


async def serve_lifespan(lifespan: Lifespan, scope: Scope, receive: Receive, send: Send) -> None:
    """Speak the lifespan protocol. A failed start is said, never raised: three servers would serve on regardless."""
    has_started = False
    await receive()
    try:
        async with lifespan(scope.get("app")) as state:
            if state and "state" in scope:
                scope["state"].update(state)
            await send({"type": "lifespan.startup.complete"})
            has_started = True
            await receive()
    except Exception as error:
        message = f"bodhi: {error.message}" if isinstance(error, BodhiError) else f"bodhi: {type(error).__name__}"
        log.critical(message, exc_info=None if isinstance(error, BodhiError) else error)
        kind = "lifespan.shutdown.failed" if has_started else "lifespan.startup.failed"
        await send({"type": kind, "message": message})
        return
    await send({"type": "lifespan.shutdown.complete"})


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


def _mount_path(path: str) -> str:
    if not path.startswith("/") or path.rstrip("/") == "" or "//" in path:
        raise ConfigurationInvalid(f"the path is {path!r}: one such as '/bodhi' is accepted", param="path")
    return path.rstrip("/")
