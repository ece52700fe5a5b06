"""Time as a collaborator, so that services never ask the operating system themselves.

``now`` is wall time for records, ``monotonic`` is for measuring; ``StillClock`` moves only when told to.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Where a service reads the time."""

    def now(self) -> datetime:
        """The wall time, aware and in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since an arbitrary start, never going backwards."""
        ...


class SystemClock:
    """The clock of the machine."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()


class StillClock:
    """A clock for tests: it stands still until :meth:`advance` is called."""

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = start
        self._elapsed_s = 0.0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return self._elapsed_s

    def advance(self, seconds: float) -> None:
        """Move both times forward by ``seconds`` (not negative)."""
        if seconds < 0:
            raise ValueError(f"a clock does not run backwards: {seconds}")
        self._now += timedelta(seconds=seconds)
        self._elapsed_s += seconds
