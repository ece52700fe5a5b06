"""Every kind of host for real servers: ``uvicorn tests.hosts.site:app``; what it is to be comes by the environment.

Each has the same pages: its own, a session, its state, a view that uses the verbs, and the facts that a test asks for.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import ModuleType
from typing import Any

from bodhi_asgi import BodhiApp, Caller

HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
KIND, ATTACH = os.environ["SITE_KIND"], os.environ["SITE_ATTACH"]

opened: list[str] = []
handled: list[str] = []


def user(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    if name == "explode":
        raise KeyError("no such user")
    return Caller.user(name) if name else None


SLOTS = int(os.environ["SITE_SLOTS"])
ENGINE: dict[str, Any] = {
    "runner": "poison", "isolation": os.environ["SITE_ISOLATION"], "n_ctx": 4096 * SLOTS, "slots": SLOTS, "linger_s": 0
}  # fmt: skip
SETTINGS: dict[str, Any] = {
    "data_dir": os.environ["SITE_FOLDER"],
    "models": {"parrot": "x"},
    "demo": False,
    "docs": True,
    "engine": ENGINE,
    "drain_on_signals": "SITE_SIGNALS" in os.environ,
}


def made() -> BodhiApp:
    if KIND != "bridge":
        return BodhiApp(identity=user, **SETTINGS)
    from bodhi_django import bodhi_app

    capitals = {name.upper(): value for name, value in SETTINGS.items()}
    engine = {name.upper(): value for name, value in ENGINE.items()}
    configure_django(BODHI={**capitals, "ENGINE": engine, "IDENTITY": user}, INSTALLED_APPS=["bodhi_django"])
    return bodhi_app()


urls: Any = ModuleType("urls")


def configure_django(**more: Any) -> None:
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="the host's own and long enough to be one",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=urls,
        MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
        SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
        LOGGING_CONFIG=None,
        **more,
    )
    django.setup()


bodhi = made()
_open_value = bodhi.server.lifecycle._open_value


async def _counted(stack: Any) -> Any:
    opened.append("")
    stack.callback(print, "bodhi is closed", flush=True)
    return await _open_value(stack)


bodhi.server.lifecycle._open_value = _counted


@asynccontextmanager
async def own_lifespan(_: Any) -> AsyncIterator[dict[str, Any]]:
    """The host's own, which must see us started."""
    print("the host starts and bodhi is", bodhi.status, flush=True)
    yield {"host": "kept"}


async def asked() -> str:
    return str((await bodhi.server.chat_completion(HELLO, stream=False)).text)


async def facts() -> dict[str, Any]:
    stats = (await bodhi.server.lifecycle.run(lambda services: services.engines.stats())).get("parrot")
    running = stats.running + stats.waiting + stats.slots_used if stats else 0
    return {"opened": len(opened), "handled": handled, "running": running, "status": bodhi.status}


def starlette_pages() -> dict[str, Any]:
    from starlette.responses import JSONResponse, PlainTextResponse

    async def page(_: Any) -> Any:
        return PlainTextResponse("the host's own page")

    async def login(request: Any) -> Any:
        request.session["user"] = "ann"
        return PlainTextResponse("")

    async def who(request: Any) -> Any:
        return JSONResponse(dict(request.session))

    async def state(request: Any) -> Any:
        kept = dict(request.scope.get("state", {}))
        return JSONResponse({"keys": sorted(kept), "bodhi": kept.get("bodhi") is bodhi.server})

    async def ask(_: Any) -> Any:
        return PlainTextResponse(await asked())

    async def told(_: Any) -> Any:
        return JSONResponse(await facts())

    return {"/": page, "/login": login, "/who": who, "/state": state, "/ask": ask, "/facts": told}


async def on_error(_: Any, error: Exception) -> Any:
    from starlette.responses import PlainTextResponse

    handled.append(repr(error))
    return PlainTextResponse("the host handled it", 599)


async def passed_on(request: Any, call_next: Any) -> Any:
    """Middleware as many hosts have it, behind which ``request.is_disconnected()`` never turns true."""
    return await call_next(request)


def starlette() -> Any:
    """Starlette and FastAPI, which differ in their class only."""
    from fastapi import FastAPI
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.middleware.base import BaseHTTPMiddleware
    from starlette.middleware.sessions import SessionMiddleware
    from starlette.routing import Mount, Route

    from bodhi_asgi import combine_lifespans

    make = {"starlette": Starlette, "fastapi": FastAPI}[KIND]
    lifespan = combine_lifespans(bodhi.lifespan, own_lifespan) if ATTACH == "lifespan" else own_lifespan
    host = make(
        routes=[Route(path, view) for path, view in starlette_pages().items()],
        middleware=[
            Middleware(SessionMiddleware, secret_key="the host's"),
            *([Middleware(BaseHTTPMiddleware, dispatch=passed_on)] if ATTACH == "install" else []),
        ],
        exception_handlers={Exception: on_error, KeyError: on_error},
        lifespan=lifespan,
    )
    if ATTACH == "install":
        return bodhi.install(host)
    host.router.routes.append(Mount("/bodhi", bodhi))
    return host


def litestar() -> Any:
    from litestar import Litestar, Request, get
    from litestar.middleware.session.client_side import CookieBackendConfig

    from bodhi_litestar import BodhiPlugin, bodhi_mount

    @get("/")
    async def page() -> str:
        return "the host's own page"

    @get("/login")
    async def login(request: Request[Any, Any, Any]) -> None:
        request.set_session({"user": "ann"})

    @get("/who")
    async def who(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return dict(request.session)

    @get("/state")
    async def state(request: Request[Any, Any, Any]) -> dict[str, Any]:
        kept = request.scope.get("state", {})
        return {"keys": sorted(kept), "bodhi": kept.get("bodhi") is bodhi.server}

    @get("/ask")
    async def ask() -> str:
        return await asked()

    @get("/facts")
    async def told() -> dict[str, Any]:
        return await facts()

    def failed(_: Any, error: Exception) -> Any:
        handled.append(repr(error))

    is_installed = ATTACH == "install"
    sessions = CookieBackendConfig(secret=b"x" * 32)
    return Litestar(
        [page, login, who, state, ask, told, *([] if is_installed else [bodhi_mount(bodhi)])],
        plugins=[BodhiPlugin(bodhi)] if is_installed else [],
        middleware=[sessions.middleware],
        exception_handlers={Exception: failed},
        lifespan=[*([bodhi.lifespan] if ATTACH == "lifespan" else []), own_lifespan],
    )


def quart() -> Any:
    from quart import Quart, request, session

    from bodhi_quart import QuartBodhi

    app = Quart("host")
    app.secret_key = "the host's"
    if ATTACH == "lifespan":

        @app.while_serving
        async def serve() -> AsyncIterator[None]:  # type: ignore[type-var, misc]
            async with bodhi.lifespan():
                yield

    @app.while_serving
    async def own() -> AsyncIterator[None]:  # type: ignore[type-var, misc]
        async with own_lifespan(app):
            yield

    @app.get("/")
    async def page() -> str:
        return "the host's own page"

    @app.get("/login")
    async def login() -> str:
        session["user"] = "ann"
        return ""

    @app.get("/who")
    async def who() -> Any:
        return dict(session)

    @app.get("/state")
    async def state() -> Any:
        kept = request.scope.get("state", {})
        return {"keys": sorted(kept), "bodhi": kept.get("bodhi") is bodhi.server}

    @app.get("/ask")
    async def ask() -> str:
        return await asked()

    @app.get("/facts")
    async def told() -> Any:
        return await facts()

    @app.errorhandler(Exception)
    async def failed(error: Exception) -> Any:
        handled.append(repr(error))
        return "the host handled it", 599

    if ATTACH == "install":
        QuartBodhi(app, bodhi)
    else:
        app.asgi_app = requests_only(bodhi.wrap(app.asgi_app), app.asgi_app)  # type: ignore[method-assign, arg-type]
    return app


def requests_only(wrapped: Any, inner: Any) -> Any:
    """In front of a host for its requests, while nobody runs our lifespan."""

    async def front(scope: Any, receive: Any, send: Any) -> None:
        await (inner if scope["type"] == "lifespan" else wrapped)(scope, receive, send)

    return front


def django_itself() -> Any:
    from django.core.asgi import get_asgi_application
    from django.core.wsgi import get_wsgi_application
    from django.http import HttpResponse, JsonResponse
    from django.urls import include, path

    async def page(_: Any) -> Any:
        return HttpResponse("the host's own page")

    def login(request: Any) -> Any:
        request.session["user"] = "ann"
        return HttpResponse("")

    def who(request: Any) -> Any:
        return JsonResponse(dict(request.session.items()))

    async def state(request: Any) -> Any:
        kept = getattr(request, "scope", {}).get("state", {})
        return JsonResponse({"keys": sorted(kept), "bodhi": kept.get("bodhi") is bodhi.server})

    async def ask(_: Any) -> Any:
        return HttpResponse(await asked())

    async def told(_: Any) -> Any:
        return JsonResponse(await facts())

    urls.urlpatterns = [
        path("", page), path("login", login), path("who", who), path("state", state), path("ask", ask),
        path("facts", told),
    ]  # fmt: skip
    if KIND == "bridge":
        urls.urlpatterns.append(path("bodhi/", include("bodhi_django.urls")))
    else:
        configure_django()
    return get_wsgi_application() if ATTACH == "wsgi" else get_asgi_application()


def bridge() -> Any:
    """Behind Django's middleware; ``asgi.py`` gives us a lifespan, or nobody does, or there is no asyncio outside."""
    from starlette.applications import Starlette
    from starlette.routing import Mount

    from bodhi_django import bodhi_asgi

    inner = django_itself()
    if ATTACH == "lifespan":
        return Starlette(routes=[Mount("/", inner)], lifespan=bodhi.lifespan)
    return bodhi_asgi(inner, path=None) if ATTACH == "install" else inner


def composition() -> Any:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    inner = django_itself()
    if ATTACH == "lifespan":
        return Starlette(routes=[Mount("/bodhi", bodhi), Mount("/", inner)], lifespan=bodhi.lifespan)
    from bodhi_django import bodhi_asgi

    wrapped = bodhi_asgi(inner, bodhi)
    return wrapped if ATTACH == "install" else requests_only(wrapped, inner)


app = {
    "starlette": starlette, "fastapi": starlette, "litestar": litestar, "quart": quart, "django": composition,
    "bridge": bridge,
}[KIND]()  # fmt: skip
