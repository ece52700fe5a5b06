"""A host's own views: who asks, and what a failed verb answers."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Busy, NotStarted
from bodhi_fastapi import BodhiDep, BodhiError, Caller, CallerDep, answer_error, install
from bodhi_starlette import get_bodhi
from tests.integrations.conftest import HELLO

Settings = Callable[[], dict[str, Any]]


def identity(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


def test_a_view_that_depends_on_a_caller_is_reached_by_callers_only(make_settings: Settings) -> None:
    app = FastAPI()
    install(app, identity=identity, **make_settings())

    @app.get("/who")
    async def who(caller: CallerDep) -> str:
        return caller.id

    with TestClient(app) as client:
        assert client.get("/who", headers={"x-user": "ann"}).json() == "host:ann"
        answer = client.get("/who")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert "identity" not in answer.json()["detail"] or "nobody is logged in" in answer.json()["detail"]
        assert client.get("/who", headers={"authorization": "Bearer sk-bodhiapp_x.y"}).status_code == 401


def test_a_dependency_can_be_replaced_in_a_hosts_own_tests(make_settings: Settings) -> None:
    from bodhi_fastapi import caller_of_request

    app = FastAPI()
    install(app, **make_settings())

    @app.get("/who")
    async def who(caller: CallerDep) -> str:
        return caller.name

    app.dependency_overrides[caller_of_request] = lambda: Caller.user("test")
    assert TestClient(app).get("/who").json() == "test"


def test_a_dependency_starts_what_is_only_mounted(make_settings: Settings) -> None:
    app = FastAPI()
    app.mount("/bodhi", BodhiApp(**make_settings()))

    @app.get("/ask")
    async def ask(bodhi: BodhiDep) -> str:
        return (await bodhi.chat_completion(HELLO, stream=False)).text

    assert TestClient(app).get("/ask").json() == "hello there"


def test_a_failed_verb_answers_with_its_own_status(make_settings: Settings) -> None:
    async def ask(request: Request) -> PlainTextResponse:
        reply = await get_bodhi(request).chat_completion(await request.json(), stream=False)
        return PlainTextResponse(reply.text)

    async def busy(_: Request) -> PlainTextResponse:
        raise Busy("come back later", retry_after_s=2.4)

    bodhi = BodhiApp(**make_settings())
    host = Starlette(
        routes=[Route("/ask", ask, methods=["POST"]), Route("/busy", busy), Mount("/bodhi", bodhi)],
        exception_handlers={BodhiError: answer_error},
        lifespan=bodhi.lifespan,
    )
    with TestClient(host) as client:
        assert client.post("/ask", json=HELLO).text == "hello there"
        answer = client.post("/ask", json={**HELLO, "model": "nobody"})
        assert answer.status_code == 404
        assert answer.json()["error"]["param"] == "model"
        assert client.get("/busy").headers["retry-after"] == "2"


def test_a_host_that_has_us_nowhere_is_told_so() -> None:
    async def ask(request: Request) -> PlainTextResponse:
        with pytest.raises(NotStarted, match="install"):
            get_bodhi(request)
        return PlainTextResponse("told")

    assert TestClient(Starlette(routes=[Route("/", ask)])).get("/").text == "told"
