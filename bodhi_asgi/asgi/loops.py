"""Event loops that are not the one the services live on: requests hop over; what is no asyncio at all is refused."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bodhi_asgi.errors import NotStarted
from bodhi_asgi.loops import this_loop

T = TypeVar("T")


async def serve_on(home: asyncio.AbstractEventLoop, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Serve a request on the event loop the services live on, its messages passed between the two loops."""
    here = asyncio.get_running_loop()

    async def receive_there() -> Message:
        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(receive()), here))

    async def send_there(message: Message) -> None:
        await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(send(message)), here))

    await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(_awaited(app(scope, receive_there, send_there)), home))


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def require_asyncio() -> None:
    """Raise NotStarted in one sentence where no asyncio loop runs."""
    if this_loop() is None:
        raise NotStarted("bodhi runs on asyncio only; start the server with its asyncio worker, not with trio's")
