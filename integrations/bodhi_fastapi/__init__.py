"""bodhi_asgi in FastAPI: install it or include its routes, compose its lifespan, depend on its verbs.

A host's ``dependencies=`` do not reach what is mounted; bodhi authenticates by itself and lets nobody in by default.
They do reach the routes of ``bodhi.router()``.
"""

from typing import Any, TypeVar

try:
    from fastapi import APIRouter, FastAPI
except ImportError as error:
    raise ImportError("bodhi_fastapi needs FastAPI: pip install 'bodhi-asgi[fastapi]'") from error

import bodhi_asgi
from bodhi_asgi import (
    Bodhi,
    BodhiError,
    BodhiState,
    BodhiStateMiddleware,
    Caller,
    combine_lifespans,
    get_bodhi,
)
from bodhi_fastapi.dependencies import (
    BodhiDep,
    CallerDep,
    UserBodhiDep,
    bodhi_of_host,
    bodhi_of_user,
    caller_of_request,
)
from bodhi_fastapi.openapi import merge_openapi
from bodhi_fastapi.router import router_of
from bodhi_starlette import answer_error

A = TypeVar("A", bound=FastAPI)


class BodhiApp(bodhi_asgi.BodhiApp):
    """``bodhi_asgi.BodhiApp`` with a router for FastAPI."""

    def router(self, **options: Any) -> APIRouter:
        """Our routes as FastAPI's own; see :func:`router_of`."""
        return router_of(self, **options)


def install(
    app: A, bodhi: bodhi_asgi.BodhiApp | None = None, path: str = "/bodhi", **settings: Any
) -> bodhi_asgi.BodhiApp:
    """Mount ``bodhi`` (a new one with ``settings`` if none is given) under ``path`` of ``app``; returns it."""
    bodhi = bodhi if bodhi is not None else BodhiApp(**settings)
    bodhi.install(app, path)
    return bodhi


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
    "bodhi_of_host",
    "bodhi_of_user",
    "caller_of_request",
    "combine_lifespans",
    "get_bodhi",
    "install",
    "merge_openapi",
    "router_of",
]
