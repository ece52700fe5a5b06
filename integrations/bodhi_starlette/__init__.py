"""bodhi_asgi in Starlette: install it, compose its lifespan, reach its verbs from a request."""

from typing import Any, TypeVar

from starlette.applications import Starlette

from bodhi_asgi import Bodhi, BodhiApp, BodhiState, BodhiStateMiddleware, combine_lifespans, get_bodhi

A = TypeVar("A", bound=Starlette)


def install(app: A, bodhi: BodhiApp | None = None, path: str = "/bodhi", **settings: Any) -> BodhiApp:
    """Mount ``bodhi`` (a new one with ``settings`` if none is given) under ``path`` of ``app``; returns it."""
    bodhi = bodhi if bodhi is not None else BodhiApp(**settings)
    bodhi.install(app, path)
    return bodhi


__all__ = ["Bodhi", "BodhiApp", "BodhiState", "BodhiStateMiddleware", "combine_lifespans", "get_bodhi", "install"]
