"""Every kind of host, without us and with any number of us, for what has to be tried in a process of its own."""

from collections.abc import Callable, Mapping
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodhi_asgi import BodhiApp

KINDS = ("starlette", "fastapi", "litestar", "quart", "django")
BRIDGE = "bridge"
"""Behind Django's middleware, where we are the one of Django's settings; for a process of its own."""

urls: Any = ModuleType("urls")
urls.urlpatterns = []


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
    from django.core.asgi import get_asgi_application

    configured()
    return get_asgi_application()


def configured() -> Any:
    """Django's settings: those of a process that has none yet."""
    from django.conf import settings

    if not settings.configured:
        settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=urls, SECRET_KEY="x" * 50, LOGGING_CONFIG=None)
    return settings


WITHOUT: Mapping[str, Callable[[], Any]] = {
    "starlette": starlette, "fastapi": fastapi, "litestar": litestar, "quart": quart, "django": django, BRIDGE: django
}  # fmt: skip


def import_us(kind: str) -> None:
    """What a host of this kind imports of ours."""
    import_module("bodhi_asgi")
    import_module("bodhi_django.urls" if kind == BRIDGE else f"bodhi_{kind}")


def made(kind: str, **settings: Any) -> "BodhiApp":
    """One of us for a host of this kind."""
    if kind == BRIDGE:
        from bodhi_django import bodhi_app

        set_bodhi({key.upper(): upper(value) if key == "engine" else value for key, value in settings.items()})
        return bodhi_app()
    from bodhi_asgi import BodhiApp

    return BodhiApp(**settings)


def upper(values: Mapping[str, Any]) -> dict[str, Any]:
    return {key.upper(): value for key, value in values.items()}


def forgotten(kind: str) -> None:
    """Nobody has use for what was made any more."""
    if kind == BRIDGE:
        set_bodhi({})


def set_bodhi(value: dict[str, Any]) -> None:
    """As a project's own tests override their settings."""
    from django.core.signals import setting_changed

    configured().BODHI = value
    setting_changed.send(sender=None, setting="BODHI", value=value, enter=True)


def hosting(kind: str, guests: Mapping[str, "BodhiApp"]) -> Any:
    """A new host with each of ``guests`` at its path, their lifespans included."""
    if kind == "litestar":
        from bodhi_litestar import BodhiPlugin

        plugins = [BodhiPlugin(bodhi, path, dependency=path.strip("/")) for path, bodhi in guests.items()]
        return litestar(plugins=plugins)
    host = WITHOUT[kind]()
    if kind == BRIDGE:
        from django.urls import include, path

        from bodhi_django import bodhi_asgi

        urls.urlpatterns[:] = [path(f"{prefix.strip('/')}/", include("bodhi_django.urls")) for prefix in guests]
        return bodhi_asgi(host, path=None) if guests else host
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
