"""One computation per key at a time, shared by all who ask for it while it lasts."""

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from bodhi_asgi.errors import Unavailable


class ComputationEnded(Unavailable):
    """A computation that others waited for was cancelled from within."""

    code = "computation_ended"


@dataclass(slots=True, eq=False)
class Flight:
    """A computation under way, and how many wait for it."""

    task: "asyncio.Task[Any]"
    waiting: int = 0


class Flights:
    """Computations by key. A waiter that is cancelled leaves the others theirs; the last one takes it along."""

    def __init__(self) -> None:
        self._flights: dict[str, Flight] = {}

    async def join(
        self, key: str, compute: Callable[[], Awaitable[Any]], keep: Callable[[Any], Awaitable[None]]
    ) -> Any:
        """The result of the computation for ``key``, begun here unless there is one.

        ``keep`` is called with the result unless it was forgotten meanwhile. An error goes to all who wait.
        """
        flight = self._flights.get(key)
        if flight is None:
            # An empty context: what the first asker carries in his is none of the others' business.
            work = self._run(key, compute, keep)
            flight = Flight(asyncio.get_running_loop().create_task(work, context=contextvars.Context()))
            flight.task.add_done_callback(_look_at)
            self._flights[key] = flight
        elif flight.task is asyncio.current_task():
            raise RuntimeError(f"the computation of '{key}' asks for itself")
        flight.waiting += 1
        try:
            await asyncio.wait([flight.task])
        finally:
            flight.waiting -= 1
            if not flight.waiting and not flight.task.done():
                self._drop(key, flight.task)
                flight.task.cancel()
        if flight.task.cancelled():
            raise ComputationEnded("what was asked for was cancelled while it was computed; try again")
        return flight.task.result()

    def forget(self, key: str) -> None:
        """Let who asks from now on begin a new computation; what is under way answers those who wait, and no more."""
        self._flights.pop(key, None)

    def forget_all(self) -> None:
        """:meth:`forget` every key."""
        self._flights.clear()

    async def _run(
        self, key: str, compute: Callable[[], Awaitable[Any]], keep: Callable[[Any], Awaitable[None]]
    ) -> Any:
        mine = asyncio.current_task()
        try:
            value = await compute()
            flight = self._flights.get(key)
            if flight is not None and flight.task is mine:
                await keep(value)
            return value
        finally:
            self._drop(key, mine)

    def _drop(self, key: str, task: "asyncio.Task[Any] | None") -> None:
        flight = self._flights.get(key)
        if flight is not None and flight.task is task:
            del self._flights[key]


def _look_at(task: "asyncio.Task[Any]") -> None:
    if not task.cancelled():
        task.exception()  # looked at, because all who waited may have been cancelled
