"""How long requests take once it is their turn, and so in how many seconds who finds a full line may come back.

Nobody can know how long an answer becomes. But those ahead are counted, so are the places, and the answers of the last
minutes were measured: when as many have had their turn as stand in line now, it is sensible to ask again.
"""

import math
from typing import Final

WEIGHT: Final = 0.2
"""Of the request that ended last, in the moving average."""

SHORTEST_S: Final = 1.0
LONGEST_S: Final = 60.0
"""OpenAI's own clients follow no longer ``Retry-After`` than this, and ask earlier than they were told."""


class Turnover:
    """A moving average. It knows no clock: whoever has one says how long something took."""

    def __init__(self) -> None:
        self._mean_s: float | None = None

    def took(self, seconds: float) -> None:
        """A request has ended so long after its turn had come."""
        self._mean_s = seconds if self._mean_s is None else self._mean_s + WEIGHT * (seconds - self._mean_s)

    def retry_after_s(self, ahead: int, at_once: int, *, so_far_s: float = 0.0) -> float:
        """When ``ahead`` requests will have had their turn, of which ``at_once`` are served: whole seconds, 1 to 60.

        ``so_far_s`` is how long those have taken already who are being served now; what takes longer than any before
        is told by it.
        """
        each_s = max(so_far_s, 0.0 if self._mean_s is None else self._mean_s)
        return min(LONGEST_S, max(SHORTEST_S, float(math.ceil(ahead * each_s / max(1, at_once)))))
