"""Plain functions in threads of their own, so that they neither hold up the event loop nor its end.

A thread cannot be stopped: one whose time is up runs on unheard. So they are counted, and there are only so many.
"""

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from bodhi_asgi.errors import Busy


class ThreadsBusy(Busy):
    """As many plain tools as allowed are running, those whose time was up among them."""

    code = "tool_threads_busy"


class Threads:
    """Runs plain functions, at most ``limit`` at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running = 0
        self._lock = threading.Lock()

    async def run(self, function: Callable[[], Any], name: str) -> Any:
        """What ``function`` returns or raises, with the caller's context variables. Raises ThreadsBusy."""
        with self._lock:
            if self._running >= self._limit:
                raise ThreadsBusy(f"{self._limit} plain tools are running; that is as many as may")
            self._running += 1
        loop = asyncio.get_running_loop()
        done: asyncio.Future[Any] = loop.create_future()
        context = contextvars.copy_context()

        def tell(value: Any, error: BaseException | None) -> None:
            if done.done():
                return
            if isinstance(error, StopIteration) or not isinstance(error, Exception | None):
                # No future can carry the first, and a SystemExit in one would end the loop.
                error = RuntimeError(f"the tool raised {type(error).__name__}")
            if error is None:
                done.set_result(value)
            else:
                done.set_exception(error)

        def work() -> None:
            value, error = None, None
            try:
                value = context.run(function)
            except BaseException as raised:
                error = raised
            with self._lock:
                self._running -= 1
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(tell, value, error)

        threading.Thread(target=work, name=f"bodhi-tool-{name}", daemon=True).start()
        return await done
