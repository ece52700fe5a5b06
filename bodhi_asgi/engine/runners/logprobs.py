"""Log probabilities from logits, in numpy: natural, over the whole vocabulary, as the model gave them.

The likeliest are found by a threshold that is lowered until enough are above it, which over a large vocabulary costs a
third of a partial sort.
"""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

GAPS: Final = (4.0, 8.0, 16.0, 64.0, math.inf)
LEAST: Final = -9999.0
"""What stands for the logarithm of nothing, which JSON has no word for."""


def logprobs(logits: NDArray[np.float32], token: int, top: int) -> tuple[float, tuple[tuple[int, float], ...]]:
    """The log probability of ``token``, and the ``top`` likeliest tokens with theirs, likeliest first."""
    largest = float(logits.max())
    total = largest + math.log(float(np.exp(logits - np.float32(largest)).sum(dtype=np.float64)))
    chosen = _likeliest(logits, top, largest) if top else ()
    return _finite(float(logits[token]) - total), tuple((one, _finite(float(logits[one]) - total)) for one in chosen)


def _likeliest(logits: NDArray[np.float32], count: int, largest: float) -> list[int]:
    found = np.flatnonzero(logits >= largest - GAPS[0])
    for gap in GAPS[1:]:
        if len(found) >= count:
            break
        found = np.flatnonzero(logits >= largest - gap)
    order = np.argsort(-logits[found], kind="stable")[:count]
    return [int(token) for token in found[order]]


def _finite(value: float) -> float:
    return value if math.isfinite(value) else LEAST
