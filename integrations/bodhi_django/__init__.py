"""bodhi_asgi beside Django: one line in ``asgi.py``.

Django's middleware does not surround what is composed here, so its ``ALLOWED_HOSTS`` is asked by us, and its logged-in
user is read by :func:`django_user` with ``identity="django"``.
"""

from collections.abc import Awaitable, Callable, MutableMapping
from http.cookies import SimpleCookie
from typing import Any

from bodhi_asgi import Bodhi, BodhiApp, BodhiError, Caller, Forbidden, get_bodhi

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


def bodhi_asgi(
    django: Application, bodhi: BodhiApp | None = None, *, path: str = "/bodhi", **settings: Any
) -> Application:
    """Django with bodhi under ``path``: ``application = bodhi_asgi(get_asgi_application())``.

    Takes a ready ``BodhiApp``, or settings for a new one; ``identity="django"`` reads Django's session.
    """
    if bodhi is None:
        if settings.get("identity") == "django":
            settings["identity"] = django_user
        bodhi = BodhiApp(**settings)
    wrapped = bodhi.wrap(django, path)

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _host_is_allowed(scope):
            await send({"type": "http.response.start", "status": 400, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"Bad Request (400): this host is not in ALLOWED_HOSTS"})
            return
        await wrapped(scope, receive, send)

    return application


async def django_user(connection: Any) -> Caller | None:
    """The user of Django's session: checked by Django itself, session hash included. None when nobody is logged in.

    Raises Forbidden for a user who is not active.
    """
    from importlib import import_module

    from django.conf import settings
    from django.contrib.auth import aget_user
    from django.http import HttpRequest

    cookies = SimpleCookie(connection.headers.get("cookie", ""))
    morsel = cookies.get(settings.SESSION_COOKIE_NAME)
    if morsel is None:
        return None
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(morsel.value)
    user = await aget_user(request)
    if not user.is_authenticated:
        return None
    if not user.is_active:
        raise Forbidden("this user is not active")
    return Caller.user(str(user.pk), issuer="django", name=user.get_username())


HOST_HEADERS = {
    b"host": "HTTP_HOST",
    b"x-forwarded-host": "HTTP_X_FORWARDED_HOST",
    b"x-forwarded-port": "HTTP_X_FORWARDED_PORT",
}


def _host_is_allowed(scope: Scope) -> bool:
    """What Django itself says of the host, by its settings."""
    from django.core.exceptions import DisallowedHost
    from django.http import HttpRequest

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


__all__ = ["Bodhi", "BodhiApp", "BodhiError", "Caller", "bodhi_asgi", "django_user", "get_bodhi"]
