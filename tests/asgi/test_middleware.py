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
