"""Questions to a library that blocks: each in a named thread of its own, and nobody waits for it beyond his time.

A thread that hangs cannot be stopped, so it is left behind, counted, and ends with the process at the latest.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, TypeVar

from bodhi_asgi.hub.errors import HubUnreachable

T = TypeVar("T")

MAX_OPEN: Final = 8
"""Questions that are being asked at once, those that nobody waits for any longer included."""


class Questions:
    """Asks in threads that do not keep a process alive."""

    def __init__(self) -> None:
        self._open = 0

    def ask(self, question: Callable[[], T]) -> "asyncio.Future[T]":
        """Begin to ask; the future may be cancelled, or left. Raises HubUnreachable when too many are open."""
        if self._open >= MAX_OPEN:
            raise HubUnreachable(f"the hub has not answered {MAX_OPEN} earlier questions yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        self._open += 1

        def settle(value: T | None, error: BaseException | None) -> None:
            self._open -= 1
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(value)  # type: ignore[arg-type]

        def ask() -> None:
            try:
                value, error = question(), None
            except BaseException as raised:  # whatever it is, it belongs to who asked
                value, error = None, raised
            with suppress(RuntimeError):  # the loop may be closed by now, and nobody waits
                loop.call_soon_threadsafe(settle, value, error)

        threading.Thread(target=ask, name="bodhi-hub-question", daemon=True).start()
        return answer
