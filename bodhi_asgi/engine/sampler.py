"""From sampling options to the steps of a sampler chain, in the order in which they are cheap and right.

Options that are not given take llama.cpp's own habit (``top_k`` 40, ``top_p`` 0.95) at a temperature of 0.7 with
``min_p`` 0.1, which keeps small models on the path. A wide ``top_k`` always comes first: over a whole vocabulary of
150,000 tokens the later steps cost a hundred times more and choose the same tokens. Penalties count generated tokens.
"""

import os
from dataclasses import dataclass
from typing import Final, TypeAlias

from bodhi_asgi.messages import Sampling

WIDE_TOP_K: Final = 256
DEFAULT_TEMPERATURE: Final = 0.7
DEFAULT_TOP_K: Final = 40
DEFAULT_TOP_P: Final = 0.95
DEFAULT_MIN_P: Final = 0.1
DEFAULT_PENALTY_LAST_N: Final = 64
MAX_SEED: Final = 0xFFFFFFFE
"""The largest seed; the next number asks llama.cpp for a random one."""


@dataclass(frozen=True, slots=True)
class LogitBias:
    """Add to the logits of tokens."""

    pairs: tuple[tuple[int, float], ...]


@dataclass(frozen=True, slots=True)
class TopK:
    """Keep the ``k`` likeliest."""

    k: int


@dataclass(frozen=True, slots=True)
class Penalties:
    """Make tokens of the last ``last_n`` less likely."""

    last_n: int
    repeat: float
    frequency: float
    presence: float


@dataclass(frozen=True, slots=True)
class Typical:
    """Keep what is as surprising as expected, up to this much probability."""

    p: float


@dataclass(frozen=True, slots=True)
class TopP:
    """Keep the likeliest up to this much probability."""

    p: float


@dataclass(frozen=True, slots=True)
class MinP:
    """Keep what has at least this share of the likeliest one's probability."""

    p: float


@dataclass(frozen=True, slots=True)
class Temperature:
    """Flatten or sharpen."""

    t: float


@dataclass(frozen=True, slots=True)
class Greedy:
    """Take the likeliest."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Draw by probability from a generator with this seed."""

    seed: int


Step: TypeAlias = LogitBias | TopK | Penalties | Typical | TopP | MinP | Temperature | Greedy | Draw


def chain(sampling: Sampling) -> list[Step]:
    """The steps for ``sampling``; the last one picks the token."""
    steps: list[Step] = []
    if sampling.logit_bias:
        steps.append(LogitBias(sampling.logit_bias))
    penalties = _penalties(sampling)
    temperature = DEFAULT_TEMPERATURE if sampling.temperature is None else sampling.temperature
    if temperature == 0:
        if penalties:
            steps += [TopK(WIDE_TOP_K), penalties]
        return [*steps, Greedy()]
    top_k = DEFAULT_TOP_K if sampling.top_k is None else sampling.top_k
    steps.append(TopK(top_k or WIDE_TOP_K))
    if penalties:
        steps.append(penalties)
    if sampling.typical_p is not None and sampling.typical_p < 1:
        steps.append(Typical(sampling.typical_p))
    top_p = DEFAULT_TOP_P if sampling.top_p is None else sampling.top_p
    if top_p < 1:
        steps.append(TopP(top_p))
    min_p = DEFAULT_MIN_P if sampling.min_p is None else sampling.min_p
    if min_p > 0:
        steps.append(MinP(min_p))
    return [*steps, Temperature(temperature), Draw(_seed(sampling.seed))]


def _penalties(sampling: Sampling) -> Penalties | None:
    repeat = 1.0 if sampling.repeat_penalty is None else sampling.repeat_penalty
    frequency = sampling.frequency_penalty or 0.0
    presence = sampling.presence_penalty or 0.0
    if repeat == 1 and not frequency and not presence:
        return None
    last_n = DEFAULT_PENALTY_LAST_N if sampling.penalty_last_n is None else sampling.penalty_last_n
    return Penalties(last_n, repeat, frequency, presence)


def _seed(seed: int | None) -> int:
    """A seed of 32 bits, as llama.cpp takes it; a random one when none is given."""
    return (int.from_bytes(os.urandom(4)) if seed is None else seed) % (MAX_SEED + 1)
