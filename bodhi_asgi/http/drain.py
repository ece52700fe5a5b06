"""Notices that the server around us is stopping, while requests are open, without touching its signals.

uvicorn waits for open streams before it ends the lifespan, so the lifespan comes too late to end them; gunicorn's
workers wait for their threads. Their own signal handlers are methods of objects that say so; reading that is enough.
"""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from bodhi_asgi.http.signals import Signals

PROBE_S: Final = 0.1


class Drain:
    """Polls only while something is open, and calls ``begin`` once.

    With ``signals`` it also hears SIGTERM and SIGINT in front of the server's own handlers.
    """

    def __init__(self, begin: Callable[[], None], *, signals: bool = False) -> None:
        self._begin = begin
        self._signals = Signals(begin) if signals else None
        self._open = 0
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> None:
        """Hear the process's signals, when that is wanted."""
        if self._signals is not None:
            self._signals.listen()

    def close(self) -> None:
        """Give the signals back."""
        if self._signals is not None:
            self._signals.close()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """While a request is open."""
        self._open += 1
        if self._task is None or self._task.done():
            self.listen()  # a server may have set its own handlers since
            self._task = asyncio.get_running_loop().create_task(self._watch(), name="bodhi-drain-watch")
        try:
            yield
        finally:
            self._open -= 1
            if self._open == 0 and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _watch(self) -> None:
        while not surrounding_server_is_stopping():  # noqa: ASYNC110  nobody would set an event
            await asyncio.sleep(PROBE_S)
        self._begin()


def surrounding_server_is_stopping() -> bool:
    """Whether the object behind the process's SIGTERM handler says that it should exit, or is alive no longer.

    The one is uvicorn's server, the other a worker of gunicorn.
    """
    owner = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return bool(getattr(owner, "should_exit", False)) or getattr(owner, "alive", True) is False
