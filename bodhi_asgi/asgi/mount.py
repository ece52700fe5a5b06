"""Where we hang: a prefix of a host that has mounts, or one in front of any ASGI application."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol

from starlette._utils import get_route_path
from starlette.routing import Match, Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi.asgi.state import BodhiStateMiddleware, HasServer
from bodhi_asgi.errors import ConfigurationInvalid
from bodhi_asgi.http.lifespan import Lifespan, LifespanOf, combine_lifespans, serve_lifespan


class Mountable(HasServer, Protocol):
    """A ``BodhiApp``, seen from below."""

    @property
    def lifespan(self) -> Lifespan:
        """The lifespan that starts and stops it."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        ...


class BodhiMount(Mount):
    """A mount that serves its prefix without a slash too, where a host would redirect to an absolute address."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] in ("http", "websocket") and get_route_path(scope) == self.path:
            path_params = dict(scope.get("path_params", {}))
            return Match.FULL, {**root_below(scope, self.path), "path_params": path_params, "endpoint": self.app}
        return super().matches(scope)


class Wrapped:
    """Our application at a prefix, another one everywhere else."""

    def __init__(self, bodhi: Mountable, app: ASGIApp, path: str) -> None:
        self._bodhi = bodhi
        self._app = BodhiStateMiddleware(app, bodhi=bodhi)
        self._inner = app
        self._path = path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await serve_lifespan(combine_lifespans(self._bodhi.lifespan, self._inner_lifespan), scope, receive, send)
            return
        path = get_route_path(scope)
        if path == self._path or path.startswith(f"{self._path}/"):
            await self._bodhi({**scope, **root_below(scope, self._path)}, receive, send)
        else:
            await self._app(scope, receive, send)

    @asynccontextmanager
    async def _inner_lifespan(self, _: object) -> AsyncIterator[Mapping[str, Any]]:
        """The wrapped application's own lifespan; one that has none (Django raises at it) is left alone."""
        async with LifespanOf(self._inner) as state:
            yield state


def root_below(scope: Scope, path: str) -> dict[str, str]:
    """What changes in a scope that is handed on to what hangs at ``path``."""
    root_path = str(scope.get("root_path", ""))
    return {"app_root_path": scope.get("app_root_path", root_path), "root_path": root_path + path}


def whole_path(scope: Scope) -> str:
    """The path of a scope with all of its ``root_path`` in front, as routing below it needs it.

    Some servers put the root path that they are told of in front of the path, others say it beside; a mount lengthens
    it all the same.
    """
    path, outer = str(scope["path"]), str(scope.get("app_root_path", ""))
    root_path = str(scope.get("root_path", ""))
    is_whole = path == root_path or path.startswith(f"{root_path}/")
    return path if is_whole or not root_path.startswith(f"{outer}/") else outer + path


def mount_path(path: str) -> str:
    """``path`` without a slash at its end. Raises ConfigurationInvalid for what is no prefix."""
    if not path.startswith("/") or path.rstrip("/") == "" or "//" in path:
        raise ConfigurationInvalid(f"the path is {path!r}: one such as '/bodhi' is accepted", param="path")
    return path.rstrip("/")
