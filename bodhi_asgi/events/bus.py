"""A bus within one server: publishing never waits, a slow subscriber loses the oldest events and is told how many."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Generic, Self, TypeVar
from weakref import WeakSet

from bodhi_asgi.events.types import Event

E = TypeVar("E", bound=Event)

BUFFER: Final = 256
"""Events kept for a subscriber that does not read."""


class Subscription(AsyncIterator[E], Generic[E]):
    """The events of one type, in order, from the moment of subscribing. Ends when it or the bus is closed.

    ``lost`` counts the events that came when ``buffer`` older ones had not been read; the oldest was dropped for each.
    """

    def __init__(self, bus: "EventBus", type_: type[E], buffer: int) -> None:
        self._bus = bus
        self._type = type_
        self._events: deque[E] = deque(maxlen=buffer)
        self._arrived = asyncio.Event()
        self._closed = False
        self.lost = 0

    def offer(self, event: Event) -> None:
        """Take the event if it is of our type."""
        if not isinstance(event, self._type):
            return
        if len(self._events) == self._events.maxlen:
            self.lost += 1
        self._events.append(event)
        self._arrived.set()

    def close(self) -> None:
        """End the iteration once what is buffered has been read. Idempotent."""
        self._closed = True
        self._arrived.set()
        self._bus.forget(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while not self._events:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        return self._events.popleft()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


class EventBus:
    """Publish to everybody who subscribed. Used from the server's own event loop only."""

    def __init__(self) -> None:
        # Weak, so that a loop over events that was left with ``break`` does not collect them for ever.
        self._subscriptions: WeakSet[Subscription[Event]] = WeakSet()
        self._closed = False

    def publish(self, event: Event) -> None:
        """Tell all subscribers. Inside a transaction, hand this to ``after_commit`` instead of calling it."""
        for subscription in tuple(self._subscriptions):
            subscription.offer(event)

    def subscribe(self, type_: type[E], *, buffer: int = BUFFER) -> Subscription[E]:
        """The events of ``type_`` and its subclasses from now on; use it in a ``with`` or close it.

        After :meth:`close` it has ended already. Raises ValueError unless ``buffer`` holds at least one event.
        """
        if buffer < 1:
            raise ValueError(f"a subscriber needs room for an event: {buffer}")
        subscription = Subscription(self, type_, buffer)
        if self._closed:
            subscription.close()
        else:
            self._subscriptions.add(subscription)  # type: ignore[arg-type]
        return subscription

    def forget(self, subscription: Subscription[Any]) -> None:
        """Stop telling ``subscription``."""
        self._subscriptions.discard(subscription)

    def close(self) -> None:
        """End every subscription once it has read what it was told. Idempotent."""
        self._closed = True
        for subscription in tuple(self._subscriptions):
            subscription.close()
