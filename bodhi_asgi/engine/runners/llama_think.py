"""An end to thinking: when its tokens are used up, the marker that closes the thoughts is all that may follow."""

import numpy as np
from numpy.typing import NDArray

from bodhi_asgi.engine.runners.llama_vocabulary import LlamaVocabulary
from bodhi_asgi.engine.thoughts import Thoughts


class ThinkingBudget:
    """Counts the thoughts of one answer, and closes them after ``budget`` tokens. The model never sees a limit."""

    def __init__(self, vocabulary: LlamaVocabulary, thoughts: Thoughts, close: str, budget: int) -> None:
        self._vocabulary = vocabulary
        self._thoughts = thoughts
        self._budget = budget
        self._closing = vocabulary.tokens(close.strip(), add_special=False, parse_special=True)
        self._written = 0

    def shape(self, logits: NDArray[np.float32]) -> None:
        if self._is_due:
            token = self._closing[self._written]
            logit = logits[token]
            logits[:] = -np.inf
            logits[token] = logit if np.isfinite(logit) else 0.0

    def accept(self, token: int) -> None:
        self._written += self._is_due
        self._thoughts.hear(self._vocabulary.piece(token))

    @property
    def _is_due(self) -> bool:
        # Once begun, the marker is written to its end.
        is_used_up = self._thoughts.is_open and self._thoughts.tokens >= self._budget
        return self._written < len(self._closing) and (is_used_up or self._written > 0)
