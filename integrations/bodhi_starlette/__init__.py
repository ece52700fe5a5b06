"""bodhi_asgi in Starlette: install it, compose its lifespan, reach its verbs from a request."""

from typing import Any, TypeVar

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse

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

A = TypeVar("A", bound=Starlette)


def install(app: A, bodhi: BodhiApp | None = None, path: str = "/bodhi", **settings: Any) -> BodhiApp:
    """Mount ``bodhi`` (a new one with ``settings`` if none is given) under ``path`` of ``app``; returns it."""
    bodhi = bodhi if bodhi is not None else BodhiApp(**settings)
    bodhi.install(app, path)
    return bodhi


async def answer_error(request: Request, error: Exception) -> JSONResponse:  # noqa: ARG001
    """An exception handler for a host whose own views call the verbs.

    ``app.add_exception_handler(BodhiError, answer_error)`` answers with the error's own status instead of a 500.
    """
    assert isinstance(error, BodhiError), "registered for BodhiError"
    body = {"error": {"message": error.message, "code": error.code, "param": error.param}}
    return JSONResponse(body, error.status, headers=headers_of(error))


def headers_of(error: BodhiError) -> dict[str, str]:
    """The headers that belong to an error's status."""
    headers = {} if error.retry_after_s is None else {"retry-after": str(max(1, round(error.retry_after_s)))}
    return headers | ({"www-authenticate": "Bearer"} if error.status == 401 else {})


__all__ = [
    "Bodhi",
    "BodhiApp",
    "BodhiError",
    "BodhiState",
    "BodhiStateMiddleware",
    "Caller",
    "answer_error",
    "combine_lifespans",
    "get_bodhi",
    "headers_of",
    "install",
]
