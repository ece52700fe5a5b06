"""Django and bodhi side by side in ``asgi.py``: Django has no lifespan, so what stands in front owns it.

Django's middleware does not surround what is composed here, so its ``ALLOWED_HOSTS`` is asked by us.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Final

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest

from bodhi_asgi import BodhiApp, BodhiStateMiddleware
from bodhi_django.identity import django_user
from bodhi_django.process import bodhi_app

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

ANYWHERE: Final = "/bodhi"
HOST_HEADERS: Final = {
    b"host": "HTTP_HOST",
    b"x-forwarded-host": "HTTP_X_FORWARDED_HOST",
    b"x-forwarded-port": "HTTP_X_FORWARDED_PORT",
}


def bodhi_asgi(
    django: Application, bodhi: BodhiApp | None = None, *, path: str | None = "/bodhi", **settings: Any
) -> Application:
    """Django with bodhi under ``path``: ``application = bodhi_asgi(get_asgi_application())``.

    The server is the one of ``settings.BODHI``, unless a ready ``BodhiApp`` or settings for a new one are given;
    ``identity="django"`` reads Django's session. With ``path=None`` nothing is served here and the lifespan is owned
    all the same, for a project that has bodhi in its ``urls.py``. Goes around routers of Channels too.
    """
    if bodhi is None:
        if settings.get("identity") == "django":
            settings["identity"] = django_user
        bodhi = BodhiApp(**settings) if settings else bodhi_app()
    return Composition(bodhi, django, path)


class Composition:
    """What the server calls: lifespans for both, our path for us, everything else for Django."""

    def __init__(self, bodhi: BodhiApp, django: Application, path: str | None) -> None:
        self._both = bodhi.wrap(django, ANYWHERE if path is None else path)
        self._django = BodhiStateMiddleware(django, bodhi=bodhi)
        self._path = None if path is None else path.rstrip("/")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._both(scope, receive, send)
        elif not self._is_ours(scope):
            await self._django(scope, receive, send)
        elif scope["type"] == "http" and not host_is_allowed(scope):
            await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"Bad Request (400): this host is not in ALLOWED_HOSTS"})
        else:
            await self._both(scope, receive, send)

    def _is_ours(self, scope: Scope) -> bool:
        if self._path is None:
            return False
        path = str(scope["path"])
        root_path = str(scope.get("root_path", ""))
        inner = path.removeprefix(root_path) if path.startswith(f"{root_path}/") else path
        return inner == self._path or inner.startswith(f"{self._path}/")


def host_is_allowed(scope: Scope) -> bool:
    """What Django itself says of the host that a request names, by its settings."""
    server = scope.get("server") or ("unknown", 0)
    request = HttpRequest()
    request.META = {"SERVER_NAME": str(server[0]), "SERVER_PORT": str(server[1])}
    for name, value in scope["headers"]:
        if name in HOST_HEADERS:
            request.META[HOST_HEADERS[name]] = value.decode("latin-1")
    try:
        request.get_host()
    except DisallowedHost:
        return False
    return True
