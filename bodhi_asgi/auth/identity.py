"""The host's users as callers: the ``identity=`` callback, held to its contract.

A callback that is not awaited, or that answers ``True``, has let strangers into other software. Here only a ``Caller``
is a login, ``None`` is nobody, and everything else is an error that keeps the door shut.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final, Literal, TypeAlias

from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.auth.errors import CrossSiteRefused, IdentityFailed
from bodhi_asgi.caller import Caller
from bodhi_asgi.errors import BodhiError, ConfigurationInvalid

log = logging.getLogger(__name__)

IdentityCallback: TypeAlias = Callable[[Connection], Awaitable[Caller | None] | Caller | None]
Identity: TypeAlias = IdentityCallback | Literal["host"]

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
SAME_SITE: Final = frozenset({"same-origin", "none"})


def callback_of(identity: Identity | None) -> IdentityCallback | None:
    """The callback behind ``identity=``. Raises ConfigurationInvalid for what is neither callable nor a preset."""
    if identity is None or callable(identity):
        return identity
    if identity == "host":
        return host_user
    raise ConfigurationInvalid(f"'identity' is {identity!r}: a callable, 'host', or None is accepted", param="identity")


async def ask(callback: IdentityCallback, connection: Connection) -> Caller | None:
    """Who the host says this is. Raises IdentityFailed when the callback breaks its contract."""
    try:
        answer: Any = callback(connection)
        if inspect.isawaitable(answer):
            answer = await answer
    except BodhiError:
        raise
    except Exception as error:
        log.exception("the identity callback raised; the request is refused")
        raise IdentityFailed("the host could not say who this is") from error
    if answer is None or isinstance(answer, Caller):
        return answer
    log.error("the identity callback answered neither a Caller nor None", extra={"type": type(answer).__name__})
    raise IdentityFailed("the host could not say who this is")


def host_user(connection: Connection) -> Caller | None:
    """The user that the host's own authentication put into the scope (Starlette, Litestar, our Django adapter)."""
    user = connection.user
    if user is None or getattr(user, "is_authenticated", False) is not True:
        return None
    # Starlette's users have an identity, Django's a primary key.
    for attribute in ("pk", "identity", "username"):
        try:
            value = getattr(user, attribute, None)
        except NotImplementedError:  # Starlette's BaseUser leaves ``identity`` to its subclasses
            continue
        if value not in (None, ""):
            name = getattr(user, "display_name", None) or str(user)
            return Caller.user(str(value), name=str(name))
    return None


def refuse_cross_site(connection: Connection) -> None:
    """Raise CrossSiteRefused for an unsafe request that a browser sent from another site.

    For identities that come along by themselves, such as a session cookie. The rule is that of Go's
    ``CrossOriginProtection``: ``Sec-Fetch-Site`` decides, else ``Origin`` must be the host itself, else it is no
    browser.
    """
    if connection.method in SAFE_METHODS:
        return
    site = connection.headers.get("sec-fetch-site")
    if site is not None:
        if site not in SAME_SITE:
            raise CrossSiteRefused("a request from another site cannot use this session; send an API token")
        return
    origin = connection.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != connection.headers.get("host", ""):
        raise CrossSiteRefused("a request from another origin cannot use this session; send an API token")
