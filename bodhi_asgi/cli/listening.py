"""A server that listens until it is told to stop: what ``serve`` and ``demo`` share."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bodhi_asgi.builder import BodhiServerBuilder
    from bodhi_asgi.server import BodhiServer


def run(serving: Coroutine[Any, Any, None]) -> None:
    """Run a server to its end, on uvloop where it is there, which spends half as much on each piece of a stream."""
    with asyncio.Runner(loop_factory=_new_loop()) as runner:
        runner.run(serving)


def _new_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory


@asynccontextmanager
async def listening(builder: "BodhiServerBuilder") -> "AsyncIterator[BodhiServer]":
    """A server with its HTTP listener, drained and closed on the way out. Raises PortInUse naming the port."""
    server = await builder.enable_http(True).build()
    try:
        yield await server.start()
    finally:
        await server.shutdown()


@contextmanager
def told_to_stop() -> Iterator[asyncio.Event]:
    """An event that SIGINT and SIGTERM set. Once it is left, a second one ends the process at once."""
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, told.set)
    try:
        yield told
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
