"""Hears that Twisted's reactor stops, on which daphne serves, and has it wait until everything of ours has ended.

daphne runs no lifespan and cancels what is open as it stops. Twisted itself asks whoever wants to be asked before it
stops, and waits for them: https://docs.twisted.org/en/stable/api/twisted.internet.interfaces.IReactorCore.html
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any


class Reactor:
    """Asked from :meth:`listen` to :meth:`close`; ``stop`` is what the reactor waits for, once."""

    def __init__(self, stop: Callable[[], Awaitable[None]]) -> None:
        self._stop = stop
        self._reactor: Any = None
        self._trigger: Any = None

    def listen(self) -> None:
        """Be asked, where the running loop is that of a reactor. Idempotent; elsewhere nothing is done or imported."""
        reactor: Any = sys.modules.get("twisted.internet.reactor")
        if self._trigger is not None or reactor is None or not reactor.running:
            return
        from twisted.python import threadable

        if threadable.isInIOThread():  # type: ignore[no-untyped-call]
            self._reactor = reactor
            self._trigger = reactor.addSystemEventTrigger("before", "shutdown", self._asked)

    def close(self) -> None:
        """Be asked no more. Idempotent."""
        trigger, self._trigger = self._trigger, None
        if trigger is not None:
            self._reactor.removeSystemEventTrigger(trigger)

    def _asked(self) -> Any:
        from twisted.internet.defer import Deferred

        self._trigger = None  # it is used up
        return Deferred.fromFuture(asyncio.ensure_future(self._stop()))
