"""Quart's extension: ``QuartBodhi(app)``, or ``init_app`` of one that is made before its application.

Quart has no mounts, so we stand in front of its ``asgi_app``. Both of its ways to start are followed: a server's
lifespan, and ``test_app()``, which runs only what is registered for serving.
"""

from contextlib import AsyncExitStack
from typing import Any, Final

from quart import Quart, current_app

from bodhi_asgi import Bodhi, BodhiApp, ConfigurationInvalid, NotStarted

NAME: Final = "bodhi"


class QuartBodhi:
    """One server for one or several Quart applications.

    Takes a ready ``BodhiApp``, or settings for a new one. ``current_app.extensions["bodhi"]`` is this object.
    """

    def __init__(
        self, app: Quart | None = None, bodhi: BodhiApp | None = None, path: str = "/bodhi", **settings: Any
    ) -> None:
        self.bodhi = bodhi if bodhi is not None else BodhiApp(**settings)
        self._path = path
        if app is not None:
            self.init_app(app)

    def init_app(self, app: Quart) -> None:
        """Stand in front of ``app`` below our path, and start and stop with it.

        Raises ConfigurationInvalid for an application that has an extension of this name.
        """
        if NAME in app.extensions:
            raise ConfigurationInvalid("this application has a 'bodhi' extension already", param="app")
        app.extensions[NAME] = self
        # A server's lifespan: our start comes before the host's own, our stop after it.
        app.asgi_app = self.bodhi.wrap(app.asgi_app, self._path)  # type: ignore[method-assign, arg-type, assignment]

        running = AsyncExitStack()

        # Not one function with ``while_serving``, which an application can run once only.
        @app.before_serving
        async def start() -> None:
            await running.enter_async_context(self.bodhi.lifespan())

        @app.after_serving
        async def stop() -> None:
            await running.aclose()

    @property
    def verbs(self) -> Bodhi:
        """The verbs for the host itself."""
        return self.bodhi.server


def get_bodhi() -> Bodhi:
    """The verbs for the host itself, in a view of an application that has the extension.

    ``get_bodhi().for_request(request)`` binds them to the request's own user. Raises NotStarted without extension.
    """
    extension = current_app.extensions.get(NAME)
    if not isinstance(extension, QuartBodhi):
        raise NotStarted("this application has no bodhi: add QuartBodhi(app) where it is built")
    return extension.verbs
