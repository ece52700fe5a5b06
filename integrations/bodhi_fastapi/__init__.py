"""bodhi_asgi in FastAPI: install it, compose its lifespan, depend on its verbs.

A host's ``dependencies=`` do not reach what is mounted; bodhi authenticates by itself and lets nobody in by default.
"""

from typing import Annotated, Any, TypeVar

from fastapi import Depends, FastAPI
from starlette.requests import HTTPConnection

from bodhi_asgi import Bodhi, BodhiApp, BodhiState, BodhiStateMiddleware, combine_lifespans, get_bodhi

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


BodhiDep = Annotated[Bodhi, Depends(bodhi_of_host)]
"""``bodhi: BodhiDep``: the verbs for the host itself, which may use every model. Starts the server if nobody has."""

UserBodhiDep = Annotated[Bodhi, Depends(bodhi_of_user)]
"""``bodhi: UserBodhiDep``: the same verbs with the permissions and grants of the request's own user."""

__all__ = [
    "Bodhi",
    "BodhiApp",
    "BodhiDep",
    "BodhiState",
    "BodhiStateMiddleware",
    "UserBodhiDep",
    "combine_lifespans",
    "get_bodhi",
    "install",
]
