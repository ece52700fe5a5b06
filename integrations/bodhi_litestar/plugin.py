"""Litestar's plugin: one line that mounts, starts, stops and injects.

Our start comes before the host's own lifespan, our stop after it; the host's hooks, dependencies and handlers are left
as they are.
"""

from typing import Any

from litestar.config.app import AppConfig
from litestar.di import Provide
from litestar.middleware import DefineMiddleware
from litestar.plugins import InitPlugin
from litestar.types import ASGIApp, Receive, Scope, Send

from bodhi_asgi import Bodhi, BodhiApp, ConfigurationInvalid
from bodhi_litestar.mount import bodhi_mount


class BodhiPlugin(InitPlugin):
    """``Litestar([…], plugins=[BodhiPlugin(path="/bodhi")])``: handlers may ask for ``bodhi: BodhiDep``.

    Takes a ready ``BodhiApp``, or settings for a new one. ``dependency`` is the name that handlers ask by.
    """

    def __init__(
        self, bodhi: BodhiApp | None = None, path: str = "/bodhi", *, dependency: str = "bodhi", **settings: Any
    ) -> None:
        self.bodhi = bodhi if bodhi is not None else BodhiApp(**settings)
        self._path = path
        self._dependency = dependency

    def on_app_init(self, app_config: AppConfig) -> AppConfig:
        """Add ourselves to the host. Raises ConfigurationInvalid when it has a dependency of our name."""
        if self._dependency in app_config.dependencies:
            raise ConfigurationInvalid(
                f"this application has a dependency {self._dependency!r} of its own; name ours with dependency=",
                param="dependency",
            )
        server = self.bodhi.server

        async def provide_bodhi() -> Bodhi:
            return server

        app_config.lifespan.insert(0, self.bodhi.lifespan)
        app_config.middleware.insert(0, DefineMiddleware(StateMiddleware, bodhi=server))
        app_config.dependencies[self._dependency] = Provide(provide_bodhi)
        app_config.signature_types.append(Bodhi)
        app_config.route_handlers.append(bodhi_mount(self.bodhi, self._path, below=app_config.path))
        return app_config


class StateMiddleware:
    """Puts ``request.state.bodhi`` there. Into the scope itself, because Litestar's own hooks read that one."""

    def __init__(self, app: ASGIApp, bodhi: Bodhi) -> None:
        self.app = app
        self._bodhi = bodhi

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["bodhi"] = self._bodhi
        await self.app(scope, receive, send)
