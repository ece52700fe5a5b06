"""bodhi_asgi in FastAPI: install it, compose its lifespan, depend on its verbs.

A host's ``dependencies=`` do not reach what is mounted; bodhi authenticates by itself and lets nobody in by default.
"""

from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI, HTTPException
from starlette.requests import HTTPConnection

from bodhi_asgi import (
    Bodhi,
    BodhiApp,
    BodhiError,
    BodhiState,
    BodhiStateMiddleware,
    Caller,
    combine_lifespans,
    get_bodhi,
)
from bodhi_starlette import answer_error, headers_of

A = TypeVar("A", bound=FastAPI)


def install(app: A, bodhi: BodhiApp | None = None, path: str = "/bodhi", **settings: Any) -> BodhiApp:
    """Mount ``bodhi`` (a new one with ``settings`` if none is given) under ``path`` of ``app``; returns it."""
    bodhi = bodhi if bodhi is not None else BodhiApp(**settings)
    bodhi.install(app, path)
    return bodhi


def bodhi_of_host(connection: HTTPConnection) -> Bodhi:
    """The verbs for the host itself."""
    return get_bodhi(connection)


def bodhi_of_user(connection: HTTPConnection) -> Bodhi:
    """The verbs for the request's own user."""
    return get_bodhi(connection).for_request(connection)


async def caller_of_request(connection: HTTPConnection) -> Caller:
    """Who asks. Answers 401, 403 or 429 by itself when that is nobody."""
    try:
        return await bodhi_of_user(connection).caller()
    except BodhiError as error:
        raise HTTPException(error.status, error.message, headers_of(error)) from error


BodhiDep = Annotated[Bodhi, Depends(bodhi_of_host)]
"""``bodhi: BodhiDep``: the verbs for the host itself, which may use every model. Starts the server if nobody has."""

UserBodhiDep = Annotated[Bodhi, Depends(bodhi_of_user)]
"""``bodhi: UserBodhiDep``: the same verbs with the permissions and grants of the request's own user."""

CallerDep = Annotated[Caller, Depends(caller_of_request)]
"""``caller: CallerDep``: who asks, by ``identity=`` or API token; nobody else gets as far as the view."""

__all__ = [
    "Bodhi",
    "BodhiApp",
    "BodhiDep",
    "BodhiError",
    "BodhiState",
    "BodhiStateMiddleware",
    "Caller",
    "CallerDep",
    "UserBodhiDep",
    "answer_error",
    "combine_lifespans",
    "get_bodhi",
    "install",
]
