"""Notes from everybody to the engine's thread: requests, what was prepared for them, who left, who reads too slowly."""

import threading
from collections import deque
from dataclasses import dataclass
from typing import TypeAlias

from bodhi_asgi.engine.manners import Prepared
from bodhi_asgi.engine.types import Job


@dataclass(frozen=True, slots=True)
class Cancel:
    """A request's client has left."""

    work_id: str


@dataclass(frozen=True, slots=True)
class Pause:
    """A request's reader has fallen behind, or has caught up."""

    work_id: str
    is_paused: bool


Note: TypeAlias = Job | Prepared | Cancel | Pause


class Inbox:
    """Written to by any thread, read by the engine's. Once stopped it takes no requests."""

    def __init__(self) -> None:
        self._notes: deque[Note] = deque()
        self._changed = threading.Condition()
        self.is_stopped = False

    @property
    def has_news(self) -> bool:
        """Whether there is something to read, or it is time to stop. A glance, without the lock."""
        return bool(self._notes) or self.is_stopped

    def submit(self, job: Job) -> bool:
        """Leave a request. False when none are taken any more."""
        with self._changed:
            if self.is_stopped:
                return False
            self._notes.append(job)
            self._changed.notify()
            return True

    def leave(self, note: Prepared | Cancel | Pause) -> None:
        """Leave word of a request."""
        with self._changed:
            self._notes.append(note)
            self._changed.notify()

    def stop(self) -> None:
        """Take no requests from now on, and wake the reader."""
        with self._changed:
            self.is_stopped = True
            self._changed.notify()

    def take(self) -> list[Note]:
        """All notes, in the order in which they came."""
        with self._changed:
            notes = list(self._notes)
            self._notes.clear()
            return notes

    def wait(self, timeout_s: float | None) -> bool:
        """Sleep until there is news, or for so long. Whether there is."""
        with self._changed:
            return self._changed.wait_for(lambda: self.has_news, timeout_s)
