"""One attempt at a time, shared by all who ask for it while it lasts."""

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs ``work`` in a task of its own: a waiter that is cancelled does not end it for the others.

    When the last who waited has gone, it is given up ``patience_s`` later, unless somebody has come by then. ``ended``
    makes the error for those who wait when :meth:`cancel` or :meth:`give_up` is called.
    """

    def __init__(
        self, work: Callable[[], Coroutine[Any, Any, T]], *, ended: Callable[[], Exception], patience_s: float = 0.0
    ) -> None:
        self._work = work
        self._ended = ended
        self._patience_s = patience_s
        self._task: asyncio.Task[T] | None = None
        self._waiting = 0
        self._patience: asyncio.TimerHandle | None = None
        self._is_given_up = False

    @property
    def is_under_way(self) -> bool:
        """Whether there is an attempt now."""
        return self._task is not None

    @property
    def waiting(self) -> int:
        """How many wait for the attempt."""
        return self._waiting

    async def result(self) -> T:
        """Join the attempt under way, or begin one. All who joined get its result or its error."""
        while self._is_given_up and self._task is not None:
            await asyncio.wait([self._task])
        if self._task is None:
            self._is_given_up = False
            # An empty context: what the first asker carries in his is none of the attempt's business.
            self._task = asyncio.get_running_loop().create_task(self._work(), context=contextvars.Context())
            self._task.add_done_callback(self._done)
        task = self._task
        if self._patience is not None:
            self._patience.cancel()
        self._waiting += 1
        try:
            await asyncio.wait([task])
        finally:
            self._waiting -= 1
            if not self._waiting and not task.done():
                self._patience = asyncio.get_running_loop().call_later(self._patience_s, self._give_up, task)
        if task.cancelled():
            raise self._ended()
        return task.result()

    async def cancel(self) -> None:
        """End the attempt under way and wait until it has ended."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def give_up(self) -> bool:
        """As :meth:`cancel`, and who asks meanwhile has a new attempt. Whether there was one to end."""
        if self._task is None:
            return False
        self._is_given_up = True
        await self.cancel()
        return True

    def _give_up(self, task: "asyncio.Task[T]") -> None:
        if not self._waiting and task is self._task:
            self._is_given_up = True
            task.cancel()

    def _done(self, task: "asyncio.Task[T]") -> None:
        self._task = None
        if not task.cancelled():
            task.exception()  # looked at, because all who asked may have been cancelled
