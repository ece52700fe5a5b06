"""Litestar's dependencies for handlers that act for the request's own user."""

from typing import Annotated, Any, Final, get_args

from litestar import Request, di

from bodhi_asgi import Bodhi, BodhiError, Caller, get_bodhi
from bodhi_litestar.errors import http_exception

BY_NAME: Final = get_args(getattr(di, "NamedDependency", Annotated[Any, None]))[1]
"""How Litestar marks a parameter that is a dependency; before 2.23 it had no mark and needed none."""

BodhiDep = Annotated[Bodhi, BY_NAME]
"""``bodhi: BodhiDep``: the verbs for the host itself, by the plugin. Starts the server if nobody has."""


UserBodhiDep = Annotated[Bodhi, BY_NAME]
"""The verbs of the request's own user, where the host provides them: ``Provide(provide_user_bodhi)``."""

CallerDep = Annotated[Caller, BY_NAME]
"""Who asks, where the host provides it: ``Provide(provide_caller)``."""


async def provide_user_bodhi(request: Request[Any, Any, Any]) -> Bodhi:
    """The verbs with the permissions and grants of the request's own user."""
    return get_bodhi(request).for_request(request)


async def provide_caller(request: Request[Any, Any, Any]) -> Caller:
    """Who asks. Answers 401, 403 or 429 by itself when that is nobody."""
    try:
        return await get_bodhi(request).for_request(request).caller()
    except BodhiError as error:
        raise http_exception(error) from error
