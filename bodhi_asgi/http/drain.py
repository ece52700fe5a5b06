"""Notices that the server around us is stopping, while requests are open, without touching its signals.

uvicorn waits for open streams before it ends the lifespan, so the lifespan comes too late to end them; gunicorn's
workers wait for their threads. Their own signal handlers are methods of objects that say so; reading that is enough.
"""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Final

from bodhi_asgi.http.reactor import Reactor
from bodhi_asgi.http.signals import Signals

PROBE_S: Final = 0.1


class Drain:
    """``with drain:`` around what is open: polls only meanwhile, or a moment longer, and then calls ``begin``.

    With ``signals`` it also hears SIGTERM and SIGINT in front of the server's own handlers. ``stop`` is what a reactor
    of Twisted's has to wait for before it stops.
    """

    def __init__(
        self,
        begin: Callable[[], None],
        *,
        signals: bool = False,
        stop: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._begin = begin
        self._signals = Signals(begin) if signals else None
        self._reactor = Reactor(stop) if stop is not None else None
        self._open = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._next: asyncio.Handle | None = None

    @property
    def is_watching(self) -> bool:
        """Whether it will look again."""
        return self._next is not None

    def listen(self) -> None:
        """Hear the process's signals, when that is wanted, and its reactor, if it has one."""
        if self._signals is not None:
            self._signals.listen()
        if self._reactor is not None:
            self._reactor.listen()

    def close(self) -> None:
        """Give the signals back, and look no more."""
        if self._signals is not None:
            self._signals.close()
        if self._reactor is not None:
            self._reactor.close()
        if self._next is not None:
            self._next.cancel()
            self._next = None

    def __enter__(self) -> None:
        """Watch while a request is open, or a stream is waited for: often, each time for a moment, also several."""
        self._open += 1
        loop = asyncio.get_running_loop()
        if self._next is None or self._loop is not loop:
            self.listen()  # a server may have set its own handlers since
            self._loop = loop
            self._next = loop.call_soon(self._look, loop)

    def __exit__(self, *exc_info: object) -> None:
        self._open -= 1

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        # By the clock of the loop and not in a task, of which a program that ends without closing us would hear.
        is_stopping = surrounding_server_is_stopping()
        self._next = loop.call_later(PROBE_S, self._look, loop) if self._open and not is_stopping else None
        if is_stopping:
            self._begin()


def surrounding_server_is_stopping() -> bool:
    """Whether the object behind the process's SIGTERM handler says that it should exit, or is alive no longer.

    The one is uvicorn's server, the other a worker of gunicorn.
    """
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(owner, "should_exit", False)) or getattr(owner, "alive", True) is False
