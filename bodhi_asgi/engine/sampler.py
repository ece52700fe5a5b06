"""From sampling options to the steps of a sampler chain, in the order in which they are cheap and right.

Options that are not given take llama.cpp's own habit (``top_k`` 40, ``top_p`` 0.95) at a temperature of 0.7 with
``min_p`` 0.1, which keeps small models on the path. A wide ``top_k`` always comes first: over a whole vocabulary of
150,000 tokens the later steps cost a hundred times more and choose the same tokens. Only ``top_n_sigma`` comes before
it, which measures the spread of all logits. Penalties count generated tokens.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, TypeAlias

from bodhi_asgi.messages.generation import Sampling

WIDE_TOP_K: Final = 256
DEFAULT_TEMPERATURE: Final = 0.7
DEFAULT_TOP_K: Final = 40
DEFAULT_TOP_P: Final = 0.95
DEFAULT_MIN_P: Final = 0.1
DEFAULT_PENALTY_LAST_N: Final = 64
DEFAULT_TAU: Final = 5.0
DEFAULT_ETA: Final = 0.1
MIROSTAT_M: Final = 100
"""How many of the likeliest tokens mirostat 1 estimates the shape of the distribution from, as its paper does."""
DEFAULT_XTC_THRESHOLD: Final = 0.1
XTC_SEED: Final = 0x9E3779B9
"""What is added to a seed for a second stream of random numbers that has nothing to do with the first."""
FLOOR: Final = 1e-9
"""A share of the likeliest one's probability that no draw ever notices."""
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
class TopNSigma:
    """Keep logits within ``n`` standard deviations of the largest."""

    n: float


@dataclass(frozen=True, slots=True)
class Xtc:
    """With this probability, drop all but the least likely of the tokens that reach the threshold."""

    probability: float
    threshold: float
    seed: int


@dataclass(frozen=True, slots=True)
class DynamicTemperature:
    """A temperature from ``t - range`` where the model is sure to ``t + range`` where it is not."""

    t: float
    range: float
    exponent: float


@dataclass(frozen=True, slots=True)
class Mirostat:
    """Draw so that the surprise stays near ``tau``; version 1 or 2 of https://arxiv.org/abs/2007.14966."""

    version: int
    tau: float
    eta: float
    seed: int


@dataclass(frozen=True, slots=True)
class Greedy:
    """Take the likeliest."""


@dataclass(frozen=True, slots=True)
class Draw:
    """Draw by probability from a generator with this seed."""

    seed: int


Step: TypeAlias = (
    LogitBias
    | TopNSigma
    | TopK
    | Penalties
    | Typical
    | TopP
    | MinP
    | Xtc
    | Temperature
    | DynamicTemperature
    | Mirostat
    | Greedy
    | Draw
)


def chain(sampling: Sampling, never: Iterable[int] = ()) -> list[Step]:
    """The steps for ``sampling``; the last one picks the token, which is none of ``never``."""
    steps: list[Step] = []
    biases = (*sampling.logit_bias, *((token, -math.inf) for token in never))
    if biases:
        steps.append(LogitBias(biases))
    penalties = _penalties(sampling)
    temperature = DEFAULT_TEMPERATURE if sampling.temperature is None else sampling.temperature
    if temperature == 0:
        if penalties:
            steps += [TopK(WIDE_TOP_K), penalties]
        return [*steps, Greedy()]
    seed = _seed(sampling.seed)
    if sampling.mirostat:
        tau = DEFAULT_TAU if sampling.mirostat_tau is None else sampling.mirostat_tau
        eta = DEFAULT_ETA if sampling.mirostat_eta is None else sampling.mirostat_eta
        steps += [TopK(WIDE_TOP_K), *filter(None, [penalties]), Temperature(temperature)]
        return [*steps, Mirostat(sampling.mirostat, tau, eta, seed)]
    steps += _narrowing(sampling, penalties)
    if sampling.xtc_probability:
        threshold = DEFAULT_XTC_THRESHOLD if sampling.xtc_threshold is None else sampling.xtc_threshold
        steps.append(Xtc(sampling.xtc_probability, threshold, (seed + XTC_SEED) % (MAX_SEED + 1)))
    return [*steps, _temperature(sampling, temperature), Draw(seed)]


def _narrowing(sampling: Sampling, penalties: Penalties | None) -> list[Step]:
    steps: list[Step] = []
    sigma = sampling.top_n_sigma or 0
    if sigma > 0:
        steps.append(TopNSigma(sigma))
    top_k = DEFAULT_TOP_K if sampling.top_k is None else sampling.top_k
    steps.append(TopK(top_k or WIDE_TOP_K))
    if penalties:
        steps.append(penalties)
    typical = 1 if sampling.typical_p is None else sampling.typical_p
    if typical < 1 or sigma > 0:
        # Tokens without any probability would be counted as choices, and typical takes the logarithm of it.
        steps.append(MinP(FLOOR))
    if typical < 1:
        steps.append(Typical(typical))
    top_p = DEFAULT_TOP_P if sampling.top_p is None else sampling.top_p
    if top_p < 1:
        steps.append(TopP(top_p))
    min_p = DEFAULT_MIN_P if sampling.min_p is None else sampling.min_p
    if min_p > 0:
        steps.append(MinP(min_p))
    return steps


def _temperature(sampling: Sampling, temperature: float) -> Step:
    if not sampling.dynatemp_range:
        return Temperature(temperature)
    exponent = 1.0 if sampling.dynatemp_exponent is None else sampling.dynatemp_exponent
    return DynamicTemperature(temperature, sampling.dynatemp_range, exponent)


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
