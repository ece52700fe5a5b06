"""The time a run has left, which stands still while the run is paused."""

from bodhi_asgi.clock import Clock


class Timer:
    """Counts from its making; ``spent_s`` of ``limit_s`` seconds are used up already."""

    def __init__(self, clock: Clock, *, limit_s: float, spent_s: float) -> None:
        self._clock = clock
        self._limit_s = limit_s
        self._began_s = clock.monotonic() - spent_s

    @property
    def spent_s(self) -> float:
        """Seconds of work so far, those before a pause included."""
        return self._clock.monotonic() - self._began_s

    @property
    def left_s(self) -> float:
        """Seconds until the limit; negative beyond it."""
        return self._limit_s - self.spent_s
