"""What a guest must not touch in its host: its session cookie, its exception handlers, its other routes."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Caller, Unavailable
from bodhi_asgi.clock import StillClock
from bodhi_asgi.lifecycle import COOL_DOWN_S

MakeApp = Callable[..., BodhiApp]
HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


@pytest.mark.parametrize(("path", "cookie"), [("/", "ours"), ("/bodhi", "ours"), ("/bodhi", "session")])
def test_a_session_inside_ours_does_not_become_the_hosts(app: BodhiApp, path: str, cookie: str) -> None:
    """A host saves whatever stands in the scope it gave away; ours is a copy."""
    plain = app._http

    async def with_session(scope: Any, receive: Any, send: Any) -> None:
        scope["session"]["ours"] = "written"
        await plain(scope, receive, send)

    app._http = SessionMiddleware(with_session, secret_key="ours", session_cookie=cookie, path=path)  # type: ignore[assignment]

    async def log_in(request: Request) -> JSONResponse:
        request.session["user"] = "ann"
        return JSONResponse({})

    async def who(request: Request) -> JSONResponse:
        return JSONResponse(dict(request.session))

    host = Starlette(
        routes=[Route("/login", log_in), Route("/who", who), Mount("/bodhi", app)],
        middleware=[Middleware(SessionMiddleware, secret_key="host")],
        lifespan=app.lifespan,
    )
    with TestClient(host) as client:
        client.get("/login")
        answer = client.get("/bodhi/ping")
        assert answer.status_code == 200
        set_cookies = [value.partition("=")[0] for value in answer.headers.get_list("set-cookie")]
        assert set_cookies in ([cookie], [cookie, "session"])
        assert client.get("/who").json() == {"user": "ann"}


@pytest.mark.parametrize("host_class", [Starlette, FastAPI])
def test_a_failure_of_ours_never_reaches_the_hosts_handlers(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch, host_class: Any
) -> None:
    handled: list[Exception] = []

    async def handler(_: Request, error: Exception) -> JSONResponse:
        handled.append(error)
        return JSONResponse({"host": "handled"}, 599)

    async def fail(*_: Any) -> None:
        raise ValueError("ours")

    app = make_app(identity=lambda _: Caller.user("ann"))
    host = app.install(host_class(exception_handlers={ValueError: handler, Exception: handler, 404: handler}))
    with TestClient(host) as client:
        assert client.get("/bodhi/nothing").status_code == 404
        monkeypatch.setattr(app.server.services.models, "list", fail)
        answer = client.get("/bodhi/v1/models")
        assert answer.status_code == 500
        assert answer.json()["error"]["code"] == "internal_error"
        monkeypatch.setattr(app.server.services.inference, "stream", fail)
        answer = client.post("/bodhi/v1/chat/completions", json={**HELLO, "stream": True})
        assert answer.status_code == 500
    assert handled == []


def test_the_hosts_other_routes_do_not_notice_that_we_cannot_start(make_app: MakeApp, tmp_path: Path) -> None:
    async def page(_: Request) -> PlainTextResponse:
        return PlainTextResponse("the host's own page")

    (tmp_path / "file").write_text("")
    app = make_app(data_dir=tmp_path / "file" / "data", on_start_failure="degrade")
    with TestClient(app.install(Starlette(routes=[Route("/", page)]))) as client:
        assert client.get("/").text == "the host's own page"
        assert client.get("/bodhi/v1/models").status_code == 503
        assert client.get("/bodhi/bodhi/v1/tokens").json()["error"]["type"] == "service_unavailable"
        assert client.get("/bodhi/health").status_code == 503
        assert client.get("/bodhi/bodhi/v1/info").status_code == 200


async def test_a_lazy_start_that_failed_is_tried_again_after_a_while(make_app: MakeApp) -> None:
    clock = StillClock()
    app = make_app(clock=clock)
    attempts: list[Any] = []
    open_value = app.server.lifecycle._open_value

    async def once_in_vain(stack: Any) -> Any:
        attempts.append(stack)
        if len(attempts) == 1:
            raise Unavailable("the disk is away")
        return await open_value(stack)

    app.server.lifecycle._open_value = once_in_vain

    async def models() -> tuple[int, dict[bytes, bytes]]:
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        await app(
            {"type": "http", "method": "GET", "path": "/v1/models", "headers": [], "query_string": b""}, receive, send
        )
        return sent[0]["status"], dict(sent[0]["headers"])

    answers = await asyncio.gather(*(models() for _ in range(20)))
    assert {status for status, _ in answers} == {503}
    assert answers[0][1][b"retry-after"] == b"5"
    assert (await models())[0] == 503
    assert len(attempts) == 1
    clock.advance(COOL_DOWN_S)
    assert (await models())[0] == 401
    assert len(attempts) == 2
    await app.aclose()


def test_what_we_are_mounted_in_may_itself_be_mounted(app: BodhiApp) -> None:
    inner = Starlette(routes=[Mount("/bodhi", app)])
    host = Starlette(routes=[Mount("/inner", inner)], lifespan=app.lifespan)
    with TestClient(host) as client:
        assert client.get("/inner/bodhi/ping").json() == {"message": "pong"}
        assert client.get("/inner/bodhi/v1/nothing").status_code == 401
