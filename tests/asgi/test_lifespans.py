"""The lifespan protocol from both sides, lazy starts, and event loops that are not the server's own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp, NotStarted, combine_lifespans
from bodhi_asgi.http.lifespan import serve_lifespan

MakeApp = Callable[..., BodhiApp]
HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}


class LifespanServer:
    """The server's side of the protocol: says start-up and shutdown when told to, and keeps what it hears."""

    def __init__(self, app: Any, **scope: Any) -> None:
        self.said: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.scope = {"type": "lifespan", "asgi": {"version": "3.0"}, **scope}
        self.task = asyncio.create_task(app(self.scope, self._to_app.get, self.said.put))

    async def tell(self, what: str) -> dict[str, Any]:
        self._to_app.put_nowait({"type": f"lifespan.{what}"})
        async with asyncio.timeout(20):
            return await self.said.get()


async def test_the_lifespan_is_answered_and_fills_the_state(app: BodhiApp) -> None:
    server = LifespanServer(app, state={"host": 1})
    assert (await server.tell("startup"))["type"] == "lifespan.startup.complete"
    assert (app.status, server.scope["state"]) == ("ready", {"host": 1, "bodhi": app.server})
    assert (await server.tell("shutdown"))["type"] == "lifespan.shutdown.complete"
    await server.task
    assert app.status == "stopped"


async def test_a_server_without_lifespan_state_is_served_too(app: BodhiApp) -> None:
    server = LifespanServer(app)
    assert (await server.tell("startup"))["type"] == "lifespan.startup.complete"
    await server.tell("shutdown")
    assert "state" not in server.scope


async def test_a_failed_start_is_said_in_one_sentence_and_never_raised(
    make_app: MakeApp, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    app = make_app(data_dir=tmp_path / "file" / "data")
    server = LifespanServer(app)

    answer = await server.tell("startup")
    await server.task

    assert answer["type"] == "lifespan.startup.failed"
    assert answer["message"].startswith("bodhi: the data directory")
    assert "set data_dir" in answer["message"]
    assert "\n" not in answer["message"]
    assert any(record.levelno == logging.CRITICAL for record in caplog.records)


async def test_a_wrapped_application_that_cannot_stop_is_reported_and_we_stop(app: BodhiApp) -> None:
    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[None]:
        yield
        raise OSError("the host's disk is full")

    server = LifespanServer(app.wrap(Starlette(lifespan=own)))
    assert (await server.tell("startup"))["type"] == "lifespan.startup.complete"
    answer = await server.tell("shutdown")
    await server.task
    assert answer["type"] == "lifespan.shutdown.failed"
    assert answer["message"] == "bodhi: the wrapped application could not stop: OSError: the host's disk is full"
    assert app.status == "stopped"


async def test_an_unforeseen_failure_is_said_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    @asynccontextmanager
    async def failing(_: Any) -> AsyncIterator[None]:
        raise ZeroDivisionError("secret")
        yield

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await serve_lifespan(failing, scope, receive, send)

    answer = await LifespanServer(app).tell("startup")
    assert answer == {"type": "lifespan.startup.failed", "message": "bodhi: ZeroDivisionError"}
    assert "secret" in caplog.text  # the log has the whole story


async def test_a_wrapped_application_starts_after_us_and_its_state_is_kept(app: BodhiApp) -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[dict[str, Any]]:
        seen.append(app.status)
        yield {"host": "kept"}
        seen.append(app.status)

    async def state(request: Request) -> JSONResponse:
        return JSONResponse([request.state.host, request.state.bodhi is app.server])

    with TestClient(app.wrap(Starlette(routes=[Route("/", state)], lifespan=own))) as client:
        assert client.get("/").json() == ["kept", True]
        assert client.get("/bodhi/ping").status_code == 200
    assert seen == ["ready", "ready"]
    assert app.status == "stopped"


async def test_a_wrapped_application_that_cannot_start_stops_us_too(app: BodhiApp) -> None:
    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[None]:
        raise OSError("no such host database")
        yield

    server = LifespanServer(app.wrap(Starlette(lifespan=own)))
    answer = await server.tell("startup")
    await server.task
    assert answer["type"] == "lifespan.startup.failed"
    assert "the wrapped application could not start" in answer["message"]
    assert app.status == "stopped"


async def raises_at_lifespan(scope: Any, receive: Any, send: Any) -> None:
    """As Django's handler and a bare channels router do."""
    if scope["type"] == "lifespan":
        raise ValueError("can only handle ASGI/HTTP connections, not lifespan")
    await JSONResponse({"host": True})(scope, receive, send)


async def returns_at_lifespan(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] != "lifespan":
        await JSONResponse({"host": True})(scope, receive, send)


@pytest.mark.parametrize("inner", [raises_at_lifespan, returns_at_lifespan])
def test_a_wrapped_application_without_a_lifespan_is_left_alone(app: BodhiApp, inner: Any) -> None:
    with TestClient(app.wrap(inner)) as client:
        assert client.get("/").json() == {"host": True}
        assert client.get("/bodhi/health/ready").json() == {"status": "ok"}
    assert app.status == "stopped"


def test_a_wrap_behind_a_server_without_lifespans_says_which_servers_have_one(
    app: BodhiApp, caplog: pytest.LogCaptureFixture
) -> None:
    assert TestClient(app.wrap(raises_at_lifespan)).get("/bodhi/ping").status_code == 200
    (warning,) = [record.getMessage() for record in caplog.records if "first request" in record.getMessage()]
    assert "the server around function" in warning
    assert "uvicorn" in warning


def test_an_installed_app_behind_a_server_without_lifespans_says_so(
    app: BodhiApp, caplog: pytest.LogCaptureFixture
) -> None:
    assert TestClient(app.install(Starlette())).get("/bodhi/ping").status_code == 200
    (warning,) = [record.getMessage() for record in caplog.records if "first request" in record.getMessage()]
    assert "the server around Starlette does not run its lifespan; run it with" in warning


def test_one_app_in_two_hosts_stops_with_the_last(app: BodhiApp) -> None:
    one, two = Starlette(), Starlette()
    app.install(one)
    app.install(two)
    host = Starlette(
        routes=[Mount("/one", one), Mount("/two", two)],
        lifespan=combine_lifespans(one.router.lifespan_context, two.router.lifespan_context),
    )
    with TestClient(host) as client:
        assert client.get("/one/bodhi/ping").status_code == client.get("/two/bodhi/ping").status_code == 200
        assert app.server.lifecycle.leases == 2
    assert app.status == "stopped"


def test_what_a_hosts_startup_began_ends_with_our_lifespan(app: BodhiApp) -> None:
    @asynccontextmanager
    async def own(_: Any) -> AsyncIterator[None]:
        await app.ensure_started()
        yield

    with TestClient(Starlette(lifespan=combine_lifespans(own, app.lifespan))):
        assert app.status == "ready"
    assert app.status == "stopped"


def test_the_bare_prefix_is_ours_without_a_redirect(app: BodhiApp) -> None:
    host = app.install(Starlette())
    with TestClient(host, follow_redirects=False) as client:
        assert client.get("/bodhi").status_code == client.get("/bodhi/").status_code == 401
        assert client.get("/bodhix").status_code == 404
    with TestClient(host, root_path="/proxy", follow_redirects=False) as client:
        assert client.get("/proxy/bodhi").status_code == 401
        assert client.get("/proxy/bodhi/ping").status_code == 200


def test_a_host_finds_our_addresses_by_name(app: BodhiApp) -> None:
    async def where(request: Request) -> JSONResponse:
        return JSONResponse([str(request.url_for("bodhi:chat")), str(request.url_for("bodhi:get_model", model="a/b"))])

    host = app.install(Starlette(routes=[Route("/where", where)]), "/llm")
    with TestClient(host) as client:
        assert client.get("/where").json() == [
            "http://testserver/llm/v1/chat/completions",
            "http://testserver/llm/v1/models/a/b",
        ]


def driven(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Run a coroutine that waits for nothing, outside any asyncio loop, as trio would."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    raise AssertionError("the coroutine waited")


def test_trio_is_refused_in_one_sentence(app: BodhiApp) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    driven(app({"type": "lifespan"}, receive, send))
    assert sent[0]["type"] == "lifespan.startup.failed"
    assert "asyncio only" in sent[0]["message"]

    scope = {"type": "http", "method": "GET", "path": "/ping", "headers": [], "query_string": b""}
    driven(app(scope, receive, send))
    assert sent[1]["status"] == 503


async def test_requests_on_another_live_loop_are_served_from_the_first(app: BodhiApp) -> None:
    async with app as bodhi:
        token = (await bodhi.create_api_token("t", scopes=["inference"])).token.reveal()

        def elsewhere() -> list[Any]:
            client = TestClient(Starlette(routes=[Mount("/bodhi", app)]))
            headers = {"authorization": f"Bearer {token}"}
            return [
                client.get("/bodhi/ping").status_code,
                client.post("/bodhi/v1/chat/completions", json=HELLO, headers=headers).status_code,
            ]

        assert await asyncio.to_thread(elsewhere) == [200, 403]
        assert app.status == "ready"


async def test_verbs_on_another_live_loop_are_served_from_the_first(app: BodhiApp) -> None:
    async with app as bodhi:

        async def ask() -> list[str]:
            stream = await bodhi.chat_completion(HELLO, stream=True)
            async with stream:
                return [choice.delta.content or "" async for chunk in stream for choice in chunk.choices]

        assert "".join(await asyncio.to_thread(lambda: asyncio.run(ask()))) == "hello there"


async def test_a_stream_that_outlives_its_server_does_not_start_it_again(app: BodhiApp) -> None:
    async with app as bodhi:
        stream = await bodhi.chat_completion(HELLO, stream=True)
    await stream.aclose()
    with pytest.raises(NotStarted):
        await anext(stream)
    assert app.status == "stopped"


async def test_fifty_first_requests_start_once_and_the_first_may_leave(app: BodhiApp) -> None:
    async def ping() -> int:
        sent: list[Any] = []

        async def receive() -> Any:
            await asyncio.Event().wait()

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/health/ready", "headers": [], "query_string": b""}
        await app(scope, receive, send)
        return int(sent[0]["status"])

    started: list[Any] = []
    app.server.lifecycle._open_value = _counting(app.server.lifecycle._open_value, started)
    requests = [asyncio.create_task(ping()) for _ in range(50)]
    await asyncio.sleep(0)
    requests[0].cancel()
    async with asyncio.timeout(20):
        answers = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [200] * 49
    assert len(started) == 1
    await app.aclose()


def _counting(open_value: Any, started: list[Any]) -> Any:
    async def counted(stack: Any) -> Any:
        started.append(stack)
        return await open_value(stack)

    return counted
