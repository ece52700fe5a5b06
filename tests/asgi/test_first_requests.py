"""Hosts that run no lifespan of ours: whoever comes first starts the server, once, however many come and go."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from bodhi_asgi import BodhiApp
from bodhi_asgi.clock import StillClock
from bodhi_asgi.lifecycle import COOL_DOWN_S
from tests.asgi.guests import KINDS, hosting
from tests.behaviour.doors import django_application
from tests.starts import starts_of

MakeApp = Callable[..., BodhiApp]
LOCAL = {"base_url": "http://localhost"}


def host_of(kind: str, app: BodhiApp) -> Any:
    if kind == "django":
        django_application()
    return hosting(kind, {"/bodhi": app})


async def asked(host: Any, path: str) -> tuple[int, dict[bytes, bytes]]:
    """Status and headers, as a server without lifespans asks."""
    sent: list[Any] = []

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "scheme": "http",
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "headers": [(b"host", b"localhost")], "client": ("127.0.0.1", 1), "server": ("localhost", 80),
    }  # fmt: skip
    await host(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"])


@pytest.mark.parametrize("kind", KINDS)
async def test_fifty_first_requests_start_once_and_the_first_may_leave(kind: str, app: BodhiApp) -> None:
    host, starts = host_of(kind, app), starts_of(app)
    requests = [asyncio.create_task(asked(host, "/bodhi/health/ready")) for _ in range(50)]
    async with asyncio.timeout(30):
        while not starts:
            await asyncio.sleep(0)
        requests[0].cancel()
        first, *others = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(first, asyncio.CancelledError)
    assert {other[0] for other in others if isinstance(other, tuple)} == {200}
    assert (len(others), len(starts)) == (49, 1)
    await app.aclose()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_first_start_that_fails_is_said_to_all_and_tried_again_later(kind: str, make_app: MakeApp) -> None:
    clock = StillClock()
    app = make_app(clock=clock)
    host, starts = host_of(kind, app), starts_of(app, fail=1)
    for _ in range(2):
        answers = await asyncio.gather(*(asked(host, "/bodhi/v1/models") for _ in range(10)))
        assert {(status, headers[b"retry-after"]) for status, headers in answers} == {(503, b"5")}
        assert len(starts) == 1
    clock.advance(COOL_DOWN_S)
    assert (await asked(host, "/bodhi/v1/models"))[0] == 401
    assert len(starts) == 2
    await app.aclose()


@pytest.mark.parametrize("kind", KINDS)
def test_a_test_client_starts_it_with_each_lifespan_and_without_one_with_each_request(kind: str, app: BodhiApp) -> None:
    host, starts = host_of(kind, app), starts_of(app)
    for number in range(1, 3):
        with TestClient(host, **LOCAL) as client:
            assert client.get("/bodhi/ping").status_code == client.get("/bodhi/health/ready").status_code == 200
        assert (len(starts), app.status) == (number, "stopped")
    client = TestClient(host, **LOCAL)
    for number in range(3, 5):
        assert client.get("/bodhi/health/ready").status_code == 200
        assert (len(starts), app.status) == (number, "stopped")


@pytest.mark.parametrize("kind", KINDS)
def test_the_host_that_we_are_in_may_itself_be_mounted(kind: str, make_app: MakeApp) -> None:
    app = make_app(docs=True)
    outer = Starlette(routes=[Mount("/inner", host_of(kind, app))], lifespan=app.lifespan)
    with TestClient(outer, **LOCAL) as client:
        assert client.get("/inner/bodhi/ping").json() == {"message": "pong"}
        assert client.get("/inner/bodhi/v1/models").status_code == 401
        assert client.get("/inner/bodhi/openapi.json").json()["servers"] == [{"url": "/inner/bodhi"}]
    assert app.status == "stopped"
