"""Who Django says that somebody is: the user of a request, or of the session behind a cookie where no request is.

Sessions and groups are read where Django reads them, in its threads; nothing of it blocks an event loop.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from typing import Any, Final, TypeAlias

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.apps import apps
from django.conf import settings
from django.contrib.auth import get_user
from django.db import close_old_connections
from django.http import HttpRequest

from bodhi_asgi import Caller, Forbidden
from bodhi_django.conf import DjangoSettings, django_settings

REQUEST: Final = "bodhi_django.request"
CALLER: Final = "bodhi_django.caller"
CSRF: Final = "bodhi_django.csrf"
"""What the scope of a request that came through Django has besides: the request, who asks, why it may be forged."""

Callback: TypeAlias = Callable[[Any], Awaitable[Caller | None] | Caller | None]


class CsrfRefused(Forbidden):
    """A request that carries a session and not the CSRF token that Django gave out with it."""

    code = "csrf_refused"


def identity_of(given: DjangoSettings) -> Any:
    """The ``identity=`` for a server: None, ``"host"``, or a callback that also minds what CSRF protection said."""
    if given.identity is None or given.identity == "host":
        return given.identity
    return guarded(django_user if given.identity == "django" else given.identity)  # type: ignore[arg-type]


def guarded(callback: Callback) -> Callback:
    """The callback, whose callers are refused where their request may be forged.

    A function that is not async runs in Django's threads, where it may ask the database.
    """
    ask = callback if iscoroutinefunction(callback) else sync_to_async(_with_fresh_connections(callback))

    async def identity(connection: Any) -> Caller | None:
        answer: Any = await ask(connection)
        caller: Caller | None = await answer if inspect.isawaitable(answer) else answer
        reason = connection.scope.get(CSRF)
        if caller is not None and reason is not None:
            raise CsrfRefused(f"{reason} Send the token in X-CSRFToken, or an API token instead of the session")
        return caller

    return identity


async def django_user(connection: Any) -> Caller | None:
    """The user of Django's session, proven by Django itself, with what ``settings.BODHI`` permits. None for nobody.

    Raises Forbidden for a user who is not active.
    """
    scope: Mapping[str, Any] = connection.scope
    if CALLER in scope:
        caller: Caller | None = scope[CALLER]
        return caller
    if REQUEST in scope:
        return await sync_to_async(caller_of)(scope[REQUEST])
    key = connection.cookies.get(settings.SESSION_COOKIE_NAME)
    return None if not key else await sync_to_async(_of_session)(key)


def caller_of(request: HttpRequest) -> Caller | None:
    """The user of a request as a caller, None for nobody. Asks the database.

    Raises Forbidden for a user who is not active.
    """
    user = getattr(request, "user", None)
    if user is None and apps.is_installed("django.contrib.auth"):  # a project may have another way, and no users here
        key = request.COOKIES.get(settings.SESSION_COOKIE_NAME)
        user = _user_of(key) if key else None
    return django_settings().permissions.caller_of(user)


def _with_fresh_connections(ask: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Where no request of Django's surrounds it, no signal looks after the connections to the database."""

    def asked(of: Any) -> Any:
        close_old_connections()
        try:
            return ask(of)
        finally:
            close_old_connections()

    return asked


@_with_fresh_connections
def _of_session(key: str) -> Caller | None:
    return django_settings().permissions.caller_of(_user_of(key))


def _user_of(key: str) -> Any:
    request = HttpRequest()
    request.session = import_module(settings.SESSION_ENGINE).SessionStore(key)
    return get_user(request)
