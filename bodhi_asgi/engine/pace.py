"""How large a piece of a prompt may be while others wait for their next token: a tenth of a second's worth."""

from typing import Final

from bodhi_asgi.engine.images import has_image
from bodhi_asgi.engine.plan import StepPlan

PIECE_S: Final = 0.1
MIN_TOKENS: Final = 16
WEIGHT: Final = 0.3


class Pace:
    """A moving average of the seconds that a token of a prompt takes."""

    def __init__(self) -> None:
        self._token_s: float | None = None

    @property
    def prefill_limit(self) -> int:
        """Tokens of prompts for the next step; small until the first measurement."""
        return MIN_TOKENS if self._token_s is None else max(MIN_TOKENS, int(PIECE_S / self._token_s))

    def measured(self, plan: StepPlan, seconds: float) -> None:
        """A step took so long. Steps without a real piece of a prompt say nothing, nor do those that read images."""
        tokens = plan.prefill_tokens
        if tokens < MIN_TOKENS or any(map(has_image, plan.rows)):
            return
        token_s = max(seconds, 1e-9) / tokens
        self._token_s = token_s if self._token_s is None else (1 - WEIGHT) * self._token_s + WEIGHT * token_s
