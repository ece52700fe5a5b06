"""Quart: the extension, its two ways to start, and the host's session."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from quart import Quart, session
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, Caller, ConfigurationInvalid, NotStarted
from bodhi_quart import BodhiError, QuartBodhi, answer_error, get_bodhi, session_of
from tests.integrations.conftest import HELLO

Settings = Callable[[], dict[str, Any]]


def make_quart() -> Quart:
    app = Quart(__name__)
    app.secret_key = "the host's"

    @app.get("/ask")
    async def ask() -> str:
        return str((await get_bodhi().chat_completion(HELLO, stream=False)).text)

    @app.get("/login")
    async def log_in() -> str:
        session["user"] = "ann"
        return ""

    @app.get("/who")
    async def who() -> dict[str, Any]:
        return dict(session)

    return app


def test_views_have_the_verbs_and_everything_starts_and_stops_once(make_settings: Settings) -> None:
    app = make_quart()
    seen: list[str] = []

    @app.while_serving
    async def own() -> AsyncIterator[None]:
        seen.append(extension.bodhi.status)
        yield
        seen.append(extension.bodhi.status)

    extension = QuartBodhi(app, identity=lambda _: Caller.user("ann"), **make_settings())
    with TestClient(app) as client:  # type: ignore[arg-type]
        assert client.get("/ask").text == "hello there"
        answer = client.post("/bodhi/v1/chat/completions", json=HELLO)
        assert answer.json()["choices"][0]["message"]["content"] == "hello there"
        assert client.get("/bodhi").status_code == 404
        assert client.get("/bodhix").status_code == 404
    assert seen == ["ready", "ready"]
    assert extension.bodhi.status == "stopped"


async def test_quarts_own_test_app_starts_and_stops_us(make_settings: Settings) -> None:
    app = make_quart()
    extension = QuartBodhi(path="/llm", **make_settings())
    extension.init_app(app)
    for _ in range(2):
        async with app.test_app() as running:
            assert extension.bodhi.status == "ready"
            client = running.test_client()
            assert await (await client.get("/ask")).get_data(as_text=True) == "hello there"
            assert await (await client.get("/llm/ping")).get_json() == {"message": "pong"}
        assert extension.bodhi.status == "stopped"


def test_the_hosts_session_is_read_by_its_own_interface_and_left_alone(make_settings: Settings) -> None:
    app = make_quart()

    async def identity(connection: Any) -> Caller | None:
        user = (await session_of(app, connection)).get("user")
        return Caller.user(user) if user else None

    QuartBodhi(app, identity=identity, **make_settings())
    with TestClient(app) as client:  # type: ignore[arg-type]
        assert client.get("/bodhi/v1/models").status_code == 401
        client.get("/login")
        answer = client.get("/bodhi/v1/models")
        assert (answer.status_code, answer.headers.get("set-cookie")) == (200, None)
        assert client.get("/who").json() == {"user": "ann"}
        client.cookies.clear()
        client.cookies.set("session", "forged")
        assert client.get("/bodhi/v1/models").status_code == 401


async def test_without_a_secret_there_is_no_session() -> None:
    scope = {"type": "http", "path": "/", "headers": []}
    connection = type("Connection", (), {"scope": scope})()
    assert await session_of(Quart(__name__), connection) == {}


def test_a_failed_verb_answers_with_its_own_status(make_settings: Settings) -> None:
    app = make_quart()
    app.register_error_handler(BodhiError, answer_error)  # type: ignore[arg-type]

    @app.get("/mine/<model>")
    async def mine(model: str) -> str:
        from quart import request

        await get_bodhi().for_request(request).chat_completion({**HELLO, "model": model}, stream=False)
        return "answered"

    QuartBodhi(app, identity=lambda c: Caller.user("ann") if c.headers.get("x-user") else None, **make_settings())
    with TestClient(app) as client:  # type: ignore[arg-type]
        answer = client.get("/mine/nobody", headers={"x-user": "ann"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")
        answer = client.get("/mine/parrot")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert client.get("/mine/parrot", headers={"x-user": "ann"}).text == "answered"


async def test_an_application_without_the_extension_and_one_with_two_are_told_so(make_settings: Settings) -> None:
    app = Quart(__name__)
    async with app.app_context():
        with pytest.raises(NotStarted, match=r"QuartBodhi\(app\)"):
            get_bodhi()
    QuartBodhi(app, BodhiApp(**make_settings()))
    with pytest.raises(ConfigurationInvalid, match="extension already"):
        QuartBodhi(app, BodhiApp(**make_settings()))
