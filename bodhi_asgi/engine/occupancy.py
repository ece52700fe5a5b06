"""Whether a loaded model is at work, since when it is not, and until when it stays. Pure accounting.

It knows no clock: each call is told the time, in seconds of one monotonic clock.
"""

from typing import Final

ARRIVAL_S: Final = 5.0
"""For so long after a load the model waits for the request it was loaded for, whatever its keep-alive."""


class Occupancy:
    """``keep_alive_s`` is how long the model stays without work: 0 not at all, negative for good.

    A request may bring a keep-alive of its own, which then holds until another one brings one.
    """

    def __init__(self, keep_alive_s: float, now: float) -> None:
        self.keep_alive_s = keep_alive_s
        self.under_way = 0
        self._idle_since = now
        self._is_awaiting_its_first = True

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way, waiting or running."""
        return self.under_way > 0

    def loaded(self, now: float) -> None:
        """The model stands, and waits for its first request from now on."""
        self._idle_since = now

    def began(self, keep_alive_s: float | None) -> None:
        """A request has come."""
        self._is_awaiting_its_first = False
        self.under_way += 1
        if keep_alive_s is not None:
            self.keep_alive_s = keep_alive_s

    def keep(self, keep_alive_s: float) -> None:
        """Somebody says how long it stays, who brings no request."""
        self._is_awaiting_its_first = False
        self.keep_alive_s = keep_alive_s

    def ended(self, now: float) -> None:
        """A request has gone, however it ended."""
        assert self.under_way, "more requests have ended than had begun"
        self.under_way -= 1
        self._idle_since = now

    def idle_s(self, now: float) -> float | None:
        """How long nothing has been under way; None while something is."""
        return None if self.is_busy else max(0.0, now - self._idle_since)

    @property
    def expires_at(self) -> float | None:
        """When the model is to be unloaded if nothing comes until then; None while it is at work, or for good."""
        if self.is_busy or self.keep_alive_s < 0:
            return None
        stay_s = max(self.keep_alive_s, ARRIVAL_S) if self._is_awaiting_its_first else self.keep_alive_s
        return self._idle_since + stay_s

    def may_leave(self, now: float) -> bool:
        """Whether it can make room for another model: it is idle, and not just loaded for somebody who is coming."""
        if self.is_busy:
            return False
        return not self._is_awaiting_its_first or now - self._idle_since >= ARRIVAL_S
