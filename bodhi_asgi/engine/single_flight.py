"""One attempt at a time, shared by all who ask for it while it lasts."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs ``work`` in a task of its own: a waiter that is cancelled does not end it for the others.

    ``ended`` makes the error for those who wait when :meth:`cancel` is called.
    """

    def __init__(self, work: Callable[[], Coroutine[Any, Any, T]], *, ended: Callable[[], Exception]) -> None:
        self._work = work
        self._ended = ended
        self._task: asyncio.Task[T] | None = None

    async def result(self) -> T:
        """Join the attempt under way, or begin one. All who joined get its result or its error."""
        if self._task is None:
            # An empty context: what the first asker carries in his is none of the attempt's business.
            self._task = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())
            self._task.add_done_callback(self._done)
        task = self._task
        await asyncio.wait([task])
        if task.cancelled():
            raise self._ended()
        return task.result()

    async def cancel(self) -> None:
        """End the attempt under way and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _done(self, task: "asyncio.Task[T]") -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # looked at, because all who asked may have been cancelled
