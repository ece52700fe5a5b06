"""How much of prompts a step may compute while others wait for their next token.

A newcomer holds them up by 150 milliseconds' worth at a time, however long his prompt. Many newcomers with short
prompts beside few who speak may take more at once: each such prompt is done with it, and he who waits is then one of
those who speak. What all wait for is never more than what those who wait gain.
"""

from collections.abc import Sequence
from typing import Final

from bodhi_asgi.engine.images import has_image
from bodhi_asgi.engine.plan import StepPlan

PIECE_S: Final = 0.15
MIN_TOKENS: Final = 16
WEIGHT: Final = 0.3
SHORT_PIECES: Final = 4
"""A prompt that takes no more pieces is short."""

COMPANY: Final = 20
COMPANY_S: Final = 0.05
"""Who comes to an idle engine waits for others that come with him: a twentieth of what his prompt takes, at most so
long, and in all five times that."""


def shares(piece: int, budget: int, speaking: int, prompts: Sequence[int]) -> list[int]:
    """Tokens that a step may take of each prompt, given what is left of each, while ``speaking`` wait for a token.

    In all one piece; more of them when short prompts outnumber those who speak, as many as there are for each of them.
    A long prompt takes half a piece at most while another waits behind it.
    """
    is_short = [left <= SHORT_PIECES * piece for left in prompts]
    of_short = sum(left for left, short in zip(prompts, is_short, strict=True) if short)
    budget = min(budget, max(piece, min(of_short, piece * sum(is_short) // speaking)))
    long_share = piece if len(prompts) == 1 else (piece + 1) // 2
    given = []
    for left, short in zip(prompts, is_short, strict=True):
        given.append(min(left, budget) if short else min(left, budget, long_share))
        budget -= given[-1]
    return given


class Pace:
    """A moving average of the seconds that a token of a prompt takes."""

    def __init__(self) -> None:
        self._token_s: float | None = None

    @property
    def prefill_limit(self) -> int:
        """Tokens of one piece; few until the first measurement."""
        return MIN_TOKENS if self._token_s is None else max(MIN_TOKENS, int(PIECE_S / self._token_s))

    def company_s(self, tokens: int) -> float:
        """How long to wait for others before ``tokens`` are computed: all that are there then share the step."""
        return 0.0 if self._token_s is None else min(COMPANY_S, tokens * self._token_s / COMPANY)

    def measured(self, plan: StepPlan, seconds: float) -> None:
        """A step took so long. Steps without a real piece of a prompt say nothing, nor do those that read images."""
        if not plan.reads or plan.prefill_tokens < MIN_TOKENS or any(map(has_image, plan.rows)):
            return
        # Beside a piece of a prompt the tokens of those who speak cost as much as its own.
        token_s = max(seconds, 1e-9) / plan.tokens
        self._token_s = token_s if self._token_s is None else (1 - WEIGHT) * self._token_s + WEIGHT * token_s
