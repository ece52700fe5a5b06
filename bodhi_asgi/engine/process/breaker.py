"""Keeps a model down for a while whose engine dies again and again without serving anybody in between."""

from typing import Final

from bodhi_asgi.clock import Clock

DEATHS: Final = 5
WITHIN_S: Final = 60.0
"""So many deaths in a row, the first no longer ago than this, and it opens."""

FIRST_REST_S: Final = 1.0
LAST_REST_S: Final = 60.0

FIRST_BACKOFF_S: Final = 0.2
"""Before the second start in a row; each further one waits twice as long."""


class Breaker:
    """Counts deaths since the last answer that was given to its end. Each death beyond the fifth doubles the rest."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deaths: list[float] = []
        self._has_opened = False
        self._opened_until = 0.0
        self._rest_s = FIRST_REST_S

    @property
    def left_s(self) -> float:
        """Seconds for which nothing is to be started; 0 while it is closed."""
        return max(0.0, self._opened_until - self._clock.monotonic())

    @property
    def backoff_s(self) -> float:
        """Seconds to wait before the next start; none after a rest."""
        if self._has_opened or not self._deaths:
            return 0.0
        return FIRST_BACKOFF_S * float(2 ** (len(self._deaths) - 1))

    def died(self) -> None:
        """An engine has ended out of order."""
        now = self._clock.monotonic()
        self._deaths = [*(at for at in self._deaths if now - at < WITHIN_S), now][-DEATHS:]
        # Once it has opened, every further start is a trial.
        if self._has_opened or len(self._deaths) == DEATHS:
            self._has_opened = True
            self._opened_until = now + self._rest_s
            self._rest_s = min(LAST_REST_S, 2 * self._rest_s)

    def served(self) -> None:
        """A request was answered to its end: the engine is well."""
        self._deaths.clear()
        self._has_opened = False
        self._opened_until = 0.0
        self._rest_s = FIRST_REST_S
