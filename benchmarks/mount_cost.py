"""What one request costs of the processor: a host's own route without us and with us, and a ping below a mount.

Called directly, in one process and without a server, so that microseconds can be told from each other. The host without
us stands there twice, and a plain Starlette in a mount stands beside ours.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from benchmarks.hosts import own_routes
from benchmarks.interleave import Contender, Figures, Limits, Outcome, compared, interleave, spread
from bodhi_asgi import BodhiApp
from bodhi_asgi.http.lifespan import LifespanOf

ABSENT: Final = "own route, without us"
AGAIN: Final = "own route, without us, again"
INSTALLED: Final = "own route, with us"
PLAIN: Final = "ping below a plain mount"
OURS: Final = "ping below ours"

COST: Final = "µs/request"
REQUESTS: Final = 3000
WARM_UP: Final = 300


async def ping(request: Request) -> JSONResponse:  # noqa: ARG001
    return JSONResponse({"message": "pong"})


async def asked(app: ASGIApp, path: str, state: dict[str, Any], requests: int) -> None:
    """So many requests, one after the other, as a server would hand them over."""
    headers = [(b"host", b"127.0.0.1"), (b"accept", b"*/*"), (b"user-agent", b"benchmark")]

    body = {"type": "http.request", "body": b"", "more_body": False}
    bodies: list[dict[str, Any]] = []
    client_leaves = asyncio.Event()

    async def receive() -> dict[str, Any]:
        if not bodies:
            await client_leaves.wait()
        return bodies.pop()

    async def send(message: Any) -> None:
        assert message.get("status", 200) == 200, message

    for _ in range(requests):
        scope = {
            "type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1", "method": "GET",
            "scheme": "http", "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
            "headers": headers, "client": ("127.0.0.1", 50_000), "server": ("127.0.0.1", 8000), "state": dict(state),
        }  # fmt: skip
        bodies[:] = [body]
        await app(scope, receive, send)


async def measured(app: ASGIApp, path: str, state: dict[str, Any]) -> Figures:
    """Microseconds of the processor for each request."""
    await asked(app, path, state, WARM_UP)
    began = time.process_time()
    await asked(app, path, state, REQUESTS)
    return {COST: (time.process_time() - began) / REQUESTS * 1e6}


@asynccontextmanager
async def contenders() -> AsyncIterator[list[Contender]]:
    """The hosts, started by their lifespans."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bb-")))
        bodhi = BodhiApp(data_dir=folder / "data", demo=False, downloads={"parallel": 0})
        with_us = bodhi.install(own_routes())
        plain = Starlette(routes=[Mount("/bodhi", Starlette(routes=[Route("/ping", ping)]))])
        states = {app: dict(await stack.enter_async_context(LifespanOf(app))) for app in (with_us, plain)}
        places = {
            ABSENT: (own_routes(), "/who"),
            AGAIN: (own_routes(), "/who"),
            INSTALLED: (with_us, "/who"),
            PLAIN: (plain, "/bodhi/ping"),
            OURS: (with_us, "/bodhi/ping"),
        }
        yield [
            Contender(name, partial(measured, app, path, states.get(app, {}))) for name, (app, path) in places.items()
        ]


async def mount_cost(limits: Limits) -> tuple[Outcome, str]:
    """The rounds, and what they say."""
    async with contenders() as found:
        outcome = await interleave(found, limits)
    if not outcome.rounds:
        return outcome, compared(outcome, ABSENT, COST)
    lines = [compared(outcome, ABSENT, COST), ""]
    for more, less, what in (
        (AGAIN, ABSENT, "the same host twice differs by"),
        (INSTALLED, ABSENT, "a host's own route costs more with us, by"),
        (OURS, PLAIN, "a ping below us costs more than below a plain mount, by"),
    ):
        added = spread([figures[more][COST] - figures[less][COST] for figures in outcome.rounds])
        lines.append(f"{what} {added} µs")
    return outcome, "\n".join(lines)
