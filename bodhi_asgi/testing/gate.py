"""A gate in an answer: the model says no more until the test opens it, while everything else goes on.

So a test waits for what has happened and never for time: one side waits until an answer stands before the gate, the
other until it is open.
"""

import asyncio
import threading
from collections.abc import Callable

from bodhi_asgi.testing.patience import PATIENCE_S, late


class Gate:
    """Closed until :meth:`open` is called, then open for good. Any thread may use it, and several answers the same."""

    def __init__(self, name: str = "gate") -> None:
        self.name = name
        self._changed = threading.Condition()
        self._is_open = False
        self._arrived = 0
        self._wakes: list[Callable[[], None]] = []

    def __repr__(self) -> str:
        return f"<{'open' if self._is_open else 'closed'} Gate {self.name!r}>"

    @property
    def is_open(self) -> bool:
        """Whether answers pass."""
        return self._is_open

    def open(self) -> None:
        """Let every answer that stands here go on, and those that come later pass. Idempotent."""
        with self._changed:
            self._is_open = True
            wakes, self._wakes = self._wakes, []
        for wake in wakes:
            wake()

    def wait_reached(self, times: int = 1, *, timeout_s: float = PATIENCE_S) -> None:
        """Return once so many answers have come to stand here. Raises AssertionError after ``timeout_s``."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._arrived >= times, timeout_s):
                came = f"{self._arrived} of {times} answers" if times > 1 else "no answer"
                raise late(f"{came} came to {self!r}", timeout_s)

    async def reached(self, times: int = 1, *, timeout_s: float = PATIENCE_S) -> None:
        """As :meth:`wait_reached`, for tests that are asynchronous."""
        await asyncio.to_thread(self.wait_reached, times, timeout_s=timeout_s)

    def arrive(self, wake: Callable[[], None]) -> None:
        """An answer stands here; ``wake`` is called when it may go on. Called by the engine, once for each answer."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
            if not self._is_open:
                self._wakes.append(wake)
                return
        wake()
