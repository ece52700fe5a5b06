"""``request.state.bodhi``: what our lifespan adds to a host's state, and how it is found when no lifespan ran."""

from typing import Final, Protocol, TypedDict

from starlette.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi.errors import NotStarted
from bodhi_asgi.facade import Bodhi, HasScope
from bodhi_asgi.http.front import in_front
from bodhi_asgi.server import BodhiServer

STATE_KEY: Final = "bodhi"


class BodhiState(TypedDict):
    """What our lifespan adds to the host's state: ``request.state.bodhi``.

    ``Request[BodhiState]`` makes ``request.state["bodhi"]`` typed.
    """

    bodhi: Bodhi


class HasServer(Protocol):
    """A ``BodhiApp``, seen from below."""

    server: BodhiServer


class BodhiStateMiddleware:
    """Puts ``request.state.bodhi`` there also when no lifespan ran, on servers and test clients that send none.

    Where it is the outermost of a host's middleware, it also ends the streams that a stopping server cancels.
    """

    def __init__(self, app: ASGIApp, bodhi: HasServer) -> None:
        self._app = app
        self._bodhi = bodhi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and STATE_KEY not in scope.get("state", ()):
            scope = {**scope, "state": {**scope.get("state", {}), STATE_KEY: self._bodhi.server}}
        if scope["type"] == "http":
            await in_front(self._app, scope, receive, send)
        else:
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
        server = getattr(getattr(route, "app", None), "server", None)
        if isinstance(server, BodhiServer):
            return server
    raise NotStarted("there is no request.state.bodhi: give the host lifespan=bodhi_app.lifespan, or install()")
