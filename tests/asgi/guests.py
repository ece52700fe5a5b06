"""Every kind of host, without us and with any number of us, for what has to be tried in a process of its own."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodhi_asgi import BodhiApp

KINDS = ("starlette", "fastapi", "litestar", "quart", "django")


def starlette() -> Any:
    from starlette.applications import Starlette

    return Starlette()


def fastapi() -> Any:
    from fastapi import FastAPI

    return FastAPI()


def litestar(**options: Any) -> Any:
    from litestar import Litestar

    # Without its own logging, for which it starts a thread in every application.
    return Litestar([], logging_config=None, **options)


def quart() -> Any:
    from quart import Quart

    return Quart("host")


def django() -> Any:
    from django.conf import settings
    from django.core.asgi import get_asgi_application

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=(), SECRET_KEY="x" * 50, LOGGING_CONFIG=None)
    return get_asgi_application()


WITHOUT: Mapping[str, Callable[[], Any]] = {
    "starlette": starlette, "fastapi": fastapi, "litestar": litestar, "quart": quart, "django": django
}  # fmt: skip


def import_us(kind: str) -> None:
    """What a host of this kind imports of ours."""
    import_module("bodhi_asgi")
    import_module(f"bodhi_{kind}")


def hosting(kind: str, guests: Mapping[str, "BodhiApp"]) -> Any:
    """A new host with each of ``guests`` at its path, their lifespans included."""
    if kind == "litestar":
        from bodhi_litestar import BodhiPlugin

        plugins = [BodhiPlugin(bodhi, path, dependency=path.strip("/")) for path, bodhi in guests.items()]
        return litestar(plugins=plugins)
    host = WITHOUT[kind]()
    for number, (path, bodhi) in enumerate(guests.items()):
        if kind in ("starlette", "fastapi"):
            bodhi.install(host, path)
        elif kind == "django":
            from bodhi_django import bodhi_asgi

            host = bodhi_asgi(host, bodhi, path=path)
        elif number == 0:
            from bodhi_quart import QuartBodhi

            QuartBodhi(host, bodhi, path)
        else:
            host.asgi_app = bodhi.wrap(host.asgi_app, path)
    return host
