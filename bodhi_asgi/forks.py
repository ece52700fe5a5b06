"""What a process that was forked must forget: event loops, threads and connections that are its parent's alone.

A child finds copies of them in its memory. They look alive and lead nowhere, or worse, to what the parent uses.
"""

import os
from typing import Any, Final, Protocol, runtime_checkable
from weakref import WeakSet


class Forgetful(Protocol):
    """Something that starts anew in a child."""

    def forget(self) -> Any:
        """Drop what belongs to the parent, touching none of it, and return it."""
        ...


@runtime_checkable
class Resting(Protocol):
    """Something that is brought to rest in the parent while it forks."""

    def before_fork(self) -> None:
        """Called in the thread that forks, which it may hold for a moment. Raises nothing."""
        ...

    def after_fork(self) -> None:
        """Called in the same thread of the parent. Raises nothing."""
        ...


class Forks:
    """Knows who has something to forget, and holds nobody alive for it."""

    def __init__(self) -> None:
        self._known: WeakSet[Any] = WeakSet()
        self._forgotten: list[Any] = []
        self._resting: list[Resting] = []
        self._listens = False

    def add(self, one: Forgetful) -> None:
        """Have ``one`` forget in every child that is forked while it is there."""
        if not self._listens and hasattr(os, "register_at_fork"):
            self._listens = True
            os.register_at_fork(before=self._rest, after_in_parent=self._wake, after_in_child=self._forget)
        self._known.add(one)

    def _rest(self) -> None:
        self._resting = [one for one in tuple(self._known) if isinstance(one, Resting)]
        for one in self._resting:
            one.before_fork()

    def _wake(self) -> None:
        for one in self._resting:
            one.after_fork()
        self._resting = []

    def _forget(self) -> None:
        # Kept for good: to finalise the copy of a loop or a socket would reach what the parent uses.
        self._forgotten += [one.forget() for one in tuple(self._known)]


FORKS: Final = Forks()
"""Of this process."""
