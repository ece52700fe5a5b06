"""Litestar: the plugin, its injection, and the address that Litestar breaks."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from litestar import Litestar, Request, get, post
from litestar.di import Provide
from litestar.middleware.session.client_side import CookieBackendConfig
from litestar.testing import TestClient

from bodhi_asgi import BodhiApp, Caller, ConfigurationInvalid
from bodhi_litestar import (
    Bodhi,
    BodhiDep,
    BodhiError,
    BodhiPlugin,
    CallerDep,
    UserBodhiDep,
    answer_error,
    bodhi_mount,
    provide_caller,
    provide_user_bodhi,
)
from tests.integrations.conftest import HELLO

Settings = Callable[[], dict[str, Any]]


def identity(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


@post("/ask", status_code=200)
async def ask(bodhi: BodhiDep) -> str:
    return str((await bodhi.chat_completion(HELLO, stream=False)).text)


@get("/state")
async def state(request: Request[Any, Any, Any]) -> dict[str, bool]:
    return {"bodhi": isinstance(request.state.bodhi, Bodhi), "host": request.app.state.get("host") == "kept"}


def test_handlers_are_given_the_verbs_and_everything_starts_and_stops_once(make_settings: Settings) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def own(app: Litestar) -> AsyncIterator[None]:
        seen.append(plugin.bodhi.status)
        app.state.host = "kept"
        yield
        seen.append(plugin.bodhi.status)

    plugin = BodhiPlugin(identity=identity, **make_settings())
    app = Litestar([ask, state], plugins=[plugin], lifespan=[own])
    with TestClient(app) as client:
        assert client.post("/ask").text == "hello there"
        assert client.get("/state").json() == {"bodhi": True, "host": True}
        answer = client.post("/bodhi/v1/chat/completions", json=HELLO, headers={"x-user": "ann"})
        assert answer.json()["choices"][0]["message"]["content"] == "hello there"
        assert client.post("/bodhi/v1/chat/completions", json=HELLO).status_code == 401
    assert seen == ["ready", "ready"]
    assert plugin.bodhi.status == "stopped"


@pytest.mark.parametrize(("below", "root_path"), [("", ""), ("/api", ""), ("", "/proxy"), ("/api", "/proxy")])
def test_addresses_are_whole_again(make_settings: Settings, below: str, root_path: str) -> None:
    plugin = BodhiPlugin(path="/llm", identity=identity, docs=True, **make_settings())
    app = Litestar([state], plugins=[plugin], path=below or None)
    with TestClient(app, root_path=root_path) as client:
        mount = f"{below}/llm"
        as_ann = {"x-user": "ann"}
        for path in ("/ping", "/ping/"):
            assert client.get(mount + path).json() == {"message": "pong"}
        assert client.get(f"{mount}/bodhi/v1/info", headers=as_ann).json()["url"] == root_path + mount
        assert client.get(f"{mount}/openapi.json").json()["servers"] == [{"url": root_path + mount}]
        assert client.get(f"{mount}/v1/models/parrot", headers=as_ann).json()["id"] == "parrot"
        assert client.get(f"{mount}/v1/models/no%20body%2Felse", headers=as_ann).status_code == 404
        for path in (mount, f"{mount}/"):
            answer = client.get(path, follow_redirects=False)
            assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
        outside = client.get(f"{mount}x/ping")
        assert outside.status_code == 404
        assert "error" not in outside.json(), "what only begins like the mount is the host's"


def test_the_hosts_session_is_read_and_left_alone(make_settings: Settings) -> None:
    @post("/login")
    async def log_in(request: Request[Any, Any, Any]) -> None:
        request.set_session({"user": "ann"})

    @get("/who")
    async def who(request: Request[Any, Any, Any]) -> dict[str, Any]:
        return dict(request.session)

    def of_session(connection: Any) -> Caller | None:
        user = (connection.session or {}).get("user")
        return Caller.user(user) if user else None

    sessions = CookieBackendConfig(secret=b"x" * 32)
    plugin = BodhiPlugin(identity=of_session, **make_settings())
    app = Litestar([log_in, who], plugins=[plugin], middleware=[sessions.middleware])
    with TestClient(app) as client:
        assert client.get("/bodhi/v1/models").status_code == 401
        client.post("/login")
        assert client.get("/bodhi/v1/models").status_code == 200
        assert client.get("/who").json() == {"user": "ann"}


def test_dependencies_act_for_the_requests_own_user(make_settings: Settings) -> None:
    @get("/who", dependencies={"caller": Provide(provide_caller)})
    async def who(caller: CallerDep) -> str:
        return caller.id

    @get("/mine", dependencies={"mine": Provide(provide_user_bodhi)})
    async def mine(mine: UserBodhiDep) -> str:
        return str((await mine.chat_completion({**HELLO, "model": "nobody"}, stream=False)).text)

    plugin = BodhiPlugin(identity=identity, **make_settings())
    app = Litestar([who, mine], plugins=[plugin], exception_handlers={BodhiError: answer_error})
    with TestClient(app) as client:
        assert client.get("/who", headers={"x-user": "ann"}).text == "host:ann"
        answer = client.get("/who")
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
        answer = client.get("/mine", headers={"x-user": "ann"})
        assert (answer.status_code, answer.json()["error"]["param"]) == (404, "model")


def test_our_failures_never_reach_the_hosts_handlers(make_settings: Settings) -> None:
    handled: list[Any] = []

    def handler(_: Any, error: Exception) -> Any:
        handled.append(error)

    def raising(_: Any) -> Caller:
        raise ValueError("no such user")

    plugin = BodhiPlugin(identity=raising, **make_settings())
    with TestClient(Litestar([], plugins=[plugin], exception_handlers={Exception: handler})) as client:
        answer = client.get("/bodhi/v1/models")
        assert (answer.status_code, answer.json()["error"]["code"]) == (500, "identity_failed")
    assert handled == []


def test_a_mount_without_the_plugin_starts_with_its_first_request(make_settings: Settings) -> None:
    bodhi = BodhiApp(**make_settings())
    with TestClient(Litestar([bodhi_mount(bodhi, "/llm")])) as client:
        assert client.get("/llm/ping").json() == {"message": "pong"}
        assert bodhi.status == "ready"
        with client.portal() as portal:
            portal.call(bodhi.aclose)


def test_a_dependency_of_the_same_name_is_the_hosts(make_settings: Settings) -> None:
    async def provide() -> int:
        return 1

    taken: Any = {"bodhi": Provide(provide)}
    with pytest.raises(ConfigurationInvalid, match="dependency="):
        Litestar([], plugins=[BodhiPlugin(**make_settings())], dependencies=taken)
    app = Litestar([], plugins=[BodhiPlugin(dependency="llm", **make_settings())], dependencies=taken)
    assert set(app.dependencies) == {"bodhi", "llm"}
