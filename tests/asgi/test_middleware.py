"""Hosts with ``BaseHTTPMiddleware``, where ``request.is_disconnected()`` never turns true: we hear of it anyway."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.requests import Request
from starlette.routing import Mount

from bodhi_asgi import BodhiApp, Caller
from tests.http.conftest import RawClient, Site
from tests.servers import serving

LONG: dict[str, Any] = {
    "model": "parrot", "messages": [{"role": "user", "content": "poison: sleep 0.02 " + "word " * 1500}]
}  # fmt: skip
ENGINE = {"runner": "poison", "isolation": "thread", "n_ctx": 16_384, "slots": 4}
AT_ONCE_S = 0.3


async def pass_on(request: Request, call_next: Any) -> Any:
    return await call_next(request)


def host_of(kind: str, app: BodhiApp) -> Any:
    if kind == "starlette":
        twice = [Middleware(BaseHTTPMiddleware, dispatch=pass_on)] * 2
        return Starlette(routes=[Mount("/bodhi", app)], middleware=twice, lifespan=app.lifespan)
    host = FastAPI()
    app.install(host)
    host.middleware("http")(pass_on)
    return host


@pytest.fixture(params=["starlette", "fastapi"])
async def here(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    everybody = Caller.user("everybody")
    app = BodhiApp(data_dir=tmp_path, models={"parrot": "x"}, demo=False, engine=ENGINE, identity=lambda _: everybody)
    async with serving(host_of(request.param, app)) as base:
        yield Site(app, base, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("stream", [True, False])
async def test_a_client_that_goes_frees_its_slot_at_once(here: Site, stream: bool) -> None:
    took_s = []
    for _ in range(3):  # the best of three: the machine may be busy with something else
        client = RawClient(here.port)
        await client.post("/bodhi/v1/chat/completions", {**LONG, "stream": stream}, "")
        async with asyncio.timeout(20):
            if stream:
                first = await client.read_until(b'"content":')
                assert json.dumps("stop") not in first.decode()
            await here.is_at_work()
            began = time.monotonic()
            client.leave()
            await here.becomes_idle()
            took_s.append(time.monotonic() - began)
    assert min(took_s) < AT_ONCE_S


async def marked(request: Request, call_next: Any) -> Any:
    """Middleware that says the body is encoded, which it would have to be read by."""
    answer = await call_next(request)
    answer.headers["content-encoding"] = "x-secret"
    return answer


def mounted(app: BodhiApp, *dispatch: Any) -> Starlette:
    middleware = [Middleware(BaseHTTPMiddleware, dispatch=each) for each in dispatch]
    return Starlette(routes=[Mount("/bodhi", app)], middleware=middleware)


HOSTS: dict[str, tuple[Any, bool]] = {
    "mounted": (mounted, True),
    "mounted, behind middleware": (lambda app: mounted(app, pass_on), False),
    "installed last": (lambda app: app.install(mounted(app, pass_on, pass_on), "/us"), True),
    "installed last, and twice": (lambda app: app.wrap(app.install(mounted(app, pass_on), "/us"), "/again"), True),
    "installed first": (lambda app: host_of("fastapi", app), False),
    "encoded on its way": (lambda app: app.install(mounted(app, marked), "/us"), False),
}
"""How a host is put together, and whether a stream of ours in it has a last word when its request is cancelled."""


@pytest.mark.parametrize("how", HOSTS)
async def test_a_stream_that_a_stopping_server_cancels_has_a_last_word_where_we_stand_in_front(
    how: str, tmp_path: Path
) -> None:
    make, has_last_word = HOSTS[how]
    everybody = Caller.user("everybody")
    app = BodhiApp(data_dir=tmp_path, models={"parrot": "x"}, demo=False, engine=ENGINE, identity=lambda _: everybody)
    async with app:
        sent = await cancelled_in_the_middle(make(app))
        last = sent[-1]
        assert last.get("more_body", False) is not has_last_word
        assert [each["more_body"] for each in sent[1:-1]] == [True] * (len(sent) - 2), "nothing came after the end"
        words = b"".join(each["body"] for each in sent[1:])
        assert (b'"server_shutting_down"' in words) is has_last_word
        assert words.count(b'"error"') == has_last_word


async def cancelled_in_the_middle(host: Any) -> list[Any]:
    """What a server is given to send of a stream whose request it cancels after the first words, as hypercorn does."""
    scope = {
        "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "POST", "scheme": "http",
        "path": "/bodhi/v1/chat/completions", "raw_path": b"/bodhi/v1/chat/completions", "query_string": b"",
        "root_path": "", "headers": [(b"content-type", b"application/json")], "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }  # fmt: skip
    body: list[Any] = [{"type": "http.request", "body": json.dumps({**LONG, "stream": True}).encode()}]
    sent: list[Any] = []
    has_words = asyncio.Event()

    async def receive() -> Any:
        if not body:
            await asyncio.Event().wait()
        return body.pop()

    async def send(message: Any) -> None:
        sent.append(message)
        if b'"content":' in message.get("body", b""):
            has_words.set()

    serving = asyncio.create_task(host(scope, receive, send))
    async with asyncio.timeout(30):
        await has_words.wait()
        serving.cancel()
        await asyncio.wait({serving})
    assert serving.cancelled()
    return sent
