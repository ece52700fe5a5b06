"""A good guest: what a host sees, keeps, and gets back, however it attaches us."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from copy import deepcopy
from typing import Any

import pytest
from fastapi import Depends, FastAPI, HTTPException
from starlette.applications import Starlette
from starlette.authentication import AuthCredentials, AuthenticationBackend, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Caller, ConfigurationInvalid, Forbidden, combine_lifespans, get_bodhi

MakeApp = Callable[..., BodhiApp]
HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


async def ask(request: Request) -> JSONResponse:
    reply = await request.state.bodhi.chat_completion(HELLO, stream=False)
    return JSONResponse({"text": reply.text})


@pytest.mark.parametrize("attach", ["lifespan", "install", "none"])
def test_views_and_routes_share_one_server_that_starts_and_stops_once(app: BodhiApp, attach: str) -> None:
    host = Starlette(routes=[Route("/ask", ask)])
    if attach == "install":
        app.install(host)
    else:
        if attach == "lifespan":
            host.router.lifespan_context = app.lifespan
        host.router.routes.append(Mount("/bodhi", app))
    with TestClient(host) as client:
        assert client.get("/bodhi/ping").json() == {"message": "pong"}
        assert client.get("/bodhi/health/ready").status_code == 200
        if attach != "none":
            assert client.get("/ask").json() == {"text": "hello there"}
        assert app.status == "ready"
    if attach != "none":
        assert app.status == "stopped"


def test_a_test_client_starts_it_again_and_again(app: BodhiApp) -> None:
    host = Starlette(routes=[Route("/ask", ask), Mount("/bodhi", app)], lifespan=app.lifespan)
    for _ in range(2):
        with TestClient(host) as client:
            assert client.get("/ask").status_code == 200


def test_without_a_lifespan_every_request_of_a_test_client_is_served(
    app: BodhiApp, caplog: pytest.LogCaptureFixture
) -> None:
    client = TestClient(Starlette(routes=[Mount("/bodhi", app)]))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert client.get("/bodhi/v1/models").status_code == 401
    warnings = [record for record in caplog.records if "does not run its lifespan" in record.getMessage()]
    assert len(warnings) == 1
    assert "Starlette" in warnings[0].getMessage()


def test_the_hosts_lifespan_and_state_are_kept_and_ours_comes_first(app: BodhiApp) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def own(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        seen.append(app.status)
        yield {"host": "kept"}
        seen.append(app.status)

    async def state(request: Request) -> JSONResponse:
        return JSONResponse([request.state.host, request.state.bodhi is app.server])

    host = app.install(Starlette(routes=[Route("/state", state)], lifespan=own))
    with TestClient(host) as client:
        assert client.get("/state").json() == ["kept", True]
    assert seen == ["ready", "ready"]
    assert app.status == "stopped"


async def test_the_state_is_there_without_any_lifespan(app: BodhiApp) -> None:
    host = app.install(Starlette(routes=[Route("/ask", ask)]))
    client = TestClient(host)
    assert client.get("/ask").json() == {"text": "hello there"}


def test_installing_twice_does_nothing_and_elsewhere_mounts_again(app: BodhiApp) -> None:
    host = Starlette()
    app.install(host, "/a")
    app.install(host, "/a/")
    app.install(host, "/b")
    assert [route.path for route in host.routes] == ["/a", "/b"]  # type: ignore[attr-defined]
    with TestClient(host) as client:
        assert client.get("/a/ping").status_code == client.get("/b/ping").status_code == 200


def test_installing_too_late_or_into_something_else_says_what_to_do(app: BodhiApp) -> None:
    host = Starlette()
    TestClient(host).get("/")
    with pytest.raises(ConfigurationInvalid, match="where the application is built"):
        app.install(host)
    with pytest.raises(TypeError, match=r"use wrap\(\)"):
        app.install(object())  # type: ignore[type-var]
    for path in ("bodhi", "/", "", "//x"):
        with pytest.raises(ConfigurationInvalid, match="'/bodhi' is accepted"):
            app.install(Starlette(), path)


async def test_the_callers_scope_is_never_changed(app: BodhiApp) -> None:
    scope = {
        "type": "http", "method": "GET", "path": "/ping", "root_path": "", "headers": [(b"a", b"b")],
        "query_string": b"", "state": {"host": 1}, "session": {"user": "ann"}, "extensions": {"x": {}},
    }  # fmt: skip
    before = deepcopy(scope)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    async with app:
        await app(scope, receive, send)
    assert scope == before
    assert sent[0]["status"] == 200


def session_host(app: BodhiApp, **inner: Any) -> Starlette:
    async def write(request: Request) -> JSONResponse:
        request.session["user"] = "ann"
        return JSONResponse({})

    async def read(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.session))

    routes = [Route("/write", write), Route("/read", read), Mount("/bodhi", app)]
    return Starlette(
        routes=routes, middleware=[Middleware(SessionMiddleware, secret_key="host")], lifespan=app.lifespan
    )


def test_the_hosts_session_is_read_by_its_preset_and_left_alone(make_app: MakeApp) -> None:
    def identity(connection: Any) -> Caller | None:
        user = connection.session.get("user")
        return Caller.user(user) if user else None

    app = make_app(identity=identity)
    with TestClient(session_host(app)) as client:
        assert client.get("/bodhi/v1/models").status_code == 401
        client.get("/write")
        before = client.get("/read").json()
        answer = client.get("/bodhi/v1/models")
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers or "session=" in answer.headers["set-cookie"]
        assert client.get("/read").json() == before == {"user": "ann"}


class Backend(AuthenticationBackend):
    async def authenticate(self, conn: HTTPConnection) -> Any:
        name = conn.headers.get("x-user")
        return (AuthCredentials(["authenticated"]), Named(name)) if name else None


class Named(SimpleUser):
    @property
    def identity(self) -> str:
        return self.username


def test_the_hosts_own_user_is_the_user(make_app: MakeApp) -> None:
    app = make_app(identity="host")
    middleware = [Middleware(AuthenticationMiddleware, backend=Backend())]
    host = Starlette(routes=[Mount("/bodhi", app)], middleware=middleware, lifespan=app.lifespan)
    with TestClient(host) as client:
        assert client.get("/bodhi/v1/models").status_code == 401
        assert client.get("/bodhi/v1/models", headers={"x-user": "ann"}).json()["data"][0]["id"] == "parrot"


def test_a_hosts_dependencies_do_not_reach_a_mount_and_we_deny_by_ourselves(app: BodhiApp) -> None:
    def deny() -> None:
        raise HTTPException(401)

    host = FastAPI(dependencies=[Depends(deny)])
    app.install(host)
    with TestClient(host) as client:
        assert client.post("/bodhi/v1/chat/completions", json=HELLO).status_code == 401
        assert client.get("/bodhi/nothing/here").status_code == 401


async def async_identity(_: Any) -> Caller:
    await asyncio.sleep(0)
    return Caller.user("ann")


def forgotten_await(_: Any) -> Any:
    async def later() -> bool:
        return True

    return later()


def raising(_: Any) -> Caller:
    raise KeyError("no such user")


def refusing(_: Any) -> Caller:
    raise Forbidden("not you")


@pytest.mark.parametrize(
    ("identity", "status"),
    [
        (async_identity, 200),
        (lambda _: Caller.user("ann"), 200),
        (lambda _: None, 401),
        (forgotten_await, 500),
        (lambda _: True, 500),
        (lambda _: "", 500),
        (lambda _: "ann", 500),
        (lambda _: {"id": 1}, 500),
        (raising, 500),
        (refusing, 403),
    ],
)
def test_only_a_caller_is_a_login(make_app: MakeApp, identity: Any, status: int) -> None:
    app = make_app(identity=identity)
    with TestClient(Starlette(routes=[Mount("/bodhi", app)], lifespan=app.lifespan)) as client:
        answer = client.get("/bodhi/v1/models")
        assert answer.status_code == status
        assert "no such user" not in answer.text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"sec-fetch-site": "same-origin"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://testserver"}, 200),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
def test_a_session_is_not_used_across_sites(make_app: MakeApp, headers: dict[str, str], status: int) -> None:
    app = make_app(identity=lambda _: Caller.user("ann"))
    with TestClient(Starlette(routes=[Mount("/bodhi", app)], lifespan=app.lifespan)) as client:
        assert client.post("/bodhi/v1/chat/completions", json=HELLO, headers=headers).status_code == status
        assert client.get("/bodhi/v1/models", headers=headers).status_code == 200


def test_a_hosts_exception_handlers_are_not_disturbed(make_app: MakeApp) -> None:
    async def handler(_: Request, __: Exception) -> JSONResponse:
        return JSONResponse({"host": "handled"}, 599)

    async def fail(_: Request) -> JSONResponse:
        raise ValueError("the host's own")

    app = make_app(identity=raising)
    host = Starlette(
        routes=[Route("/fail", fail), Mount("/bodhi", app)],
        exception_handlers={ValueError: handler, KeyError: handler, Exception: handler},
        lifespan=app.lifespan,
    )
    with TestClient(host, raise_server_exceptions=False) as client:
        assert client.get("/fail").status_code == 599
        answer = client.get("/bodhi/v1/models")
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "identity_failed"


@pytest.fixture
def broken(tmp_path: Any) -> Iterator[Any]:
    blocker = tmp_path / "a file"
    blocker.write_text("")
    return blocker / "data"


def test_a_failed_start_fails_the_host_or_degrades_as_configured(make_app: MakeApp, broken: Any) -> None:
    app = make_app(data_dir=broken)
    with pytest.raises(ConfigurationInvalid, match="data directory"):  # noqa: SIM117
        with TestClient(Starlette(routes=[Mount("/bodhi", app)], lifespan=app.lifespan)):
            pass

    app = make_app(data_dir=broken, on_start_failure="degrade")
    with TestClient(Starlette(routes=[Mount("/bodhi", app), Route("/", ask)], lifespan=app.lifespan)) as client:
        assert client.get("/bodhi/health/live").status_code == 200
        assert client.get("/bodhi/health/ready").status_code == 503
        answer = client.get("/bodhi/v1/models")
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "5"
        assert str(broken) not in answer.text


def test_prefixes_are_kept_with_and_without_a_slash(app: BodhiApp) -> None:
    wrapped = app.wrap(Starlette(routes=[Route("/{path:path}", ask_path)]), "/bodhi")
    with TestClient(wrapped) as client:
        assert client.get("/bodhi/ping").status_code == 200
        assert client.get("/bodhi").status_code == 401
        assert client.get("/bodhi/").status_code == 401
        assert client.get("/bodhix").json() == {"host": "/bodhix"}
        assert client.get("/").json() == {"host": "/"}


async def ask_path(request: Request) -> JSONResponse:
    return JSONResponse({"host": request.url.path})


def test_base_http_middleware_around_us_does_no_harm(app: BodhiApp) -> None:
    async def dispatch(request: Request, call_next: Any) -> Any:
        return await call_next(request)

    middleware = [Middleware(BaseHTTPMiddleware, dispatch=dispatch)] * 2
    host = Starlette(routes=[Mount("/bodhi", app)], middleware=middleware, lifespan=app.lifespan)
    with TestClient(host) as client:
        assert client.get("/bodhi/ping").json() == {"message": "pong"}


def test_two_applications_in_one_host_do_not_know_each_other(make_app: MakeApp) -> None:
    one, two = make_app(), make_app(models={"other": "x"})
    lifespan = combine_lifespans(one.lifespan, two.lifespan)
    host = Starlette(routes=[Mount("/one", one), Mount("/two", two)], lifespan=lifespan)
    with TestClient(host) as client:
        token = client.portal.call(lambda: one.server.create_api_token("t"))  # type: ignore[union-attr]
        headers = {"authorization": f"Bearer {token.token.reveal()}"}
        assert client.get("/one/v1/models", headers=headers).status_code == 200
        assert client.get("/two/v1/models", headers=headers).status_code == 401


def test_a_websocket_is_closed_politely(app: BodhiApp) -> None:
    from starlette.websockets import WebSocketDisconnect

    with (
        TestClient(Starlette(routes=[Mount("/bodhi", app)], lifespan=app.lifespan)) as client,
        pytest.raises(WebSocketDisconnect),
        client.websocket_connect("/bodhi/v1/anything"),
    ):
        pass


def test_a_host_without_us_is_told_what_to_add() -> None:
    from bodhi_asgi import NotStarted

    with pytest.raises(NotStarted, match="install"):
        get_bodhi(HTTPConnection({"type": "http", "headers": []}))
