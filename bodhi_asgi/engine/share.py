"""How the engine divides its time between streams, whose readers wait for the next word, and texts read in batches.

Beside streams a batch is as large as a tenth of a second, and the streams then have the engine for as long as that
took. Alone it may take a quarter of a second, because somebody may come who wants to talk; with a model that does not
speak it is as large as a step may be.
"""

from typing import Final

PIECE_S: Final = 0.1
ALONE_S: Final = 0.25
MIN_TOKENS: Final = 16
WEIGHT: Final = 0.3


class Share:
    """A moving average of the seconds that a token takes, and whose turn it is. Times are of one monotonic clock."""

    def __init__(self, *, speaks: bool) -> None:
        self._speaks = speaks
        self._token_s: float | None = None
        self._rests_until_s = 0.0

    def is_due(self, now_s: float, *, beside_streams: bool) -> bool:
        """Whether a batch may be computed now."""
        return not beside_streams or now_s >= self._rests_until_s

    def limit(self, n_batch: int, *, beside_streams: bool) -> int:
        """The most tokens of the next batch; few until the first was measured."""
        if not self._speaks:
            return n_batch
        seconds = PIECE_S if beside_streams else ALONE_S
        fitting = MIN_TOKENS if self._token_s is None else max(MIN_TOKENS, int(seconds / self._token_s))
        return min(n_batch, fitting)

    def measured(self, tokens: int, began_s: float, ended_s: float) -> None:
        """A batch of so many tokens was computed from ``began_s`` to ``ended_s``."""
        took_s = max(ended_s - began_s, 1e-9)
        self._rests_until_s = ended_s + took_s
        if tokens >= MIN_TOKENS:
            token_s = took_s / tokens
            self._token_s = token_s if self._token_s is None else (1 - WEIGHT) * self._token_s + WEIGHT * token_s
