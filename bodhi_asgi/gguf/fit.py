"""Will it fit: the memory that weights and a context take, told from headers and held against a budget."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bodhi_asgi.gguf.memory import cache_bytes, state_bytes, weight_bytes
from bodhi_asgi.gguf.sight import sight_of
from bodhi_asgi.gguf.types import GgufHeader

CONTEXT_TOKENS: Final = 4096
"""For which a model should have room at least, unless it was trained for less."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Bytes of a model's weights, of its context of ``context_tokens``, and of its projector with what that computes
    with; ``budget_bytes`` is what there is."""

    weight_bytes: int
    cache_bytes: int
    context_tokens: int
    budget_bytes: int
    projector_bytes: int = 0

    @property
    def total_bytes(self) -> int:
        return self.weight_bytes + self.cache_bytes + self.projector_bytes

    @property
    def fits(self) -> bool:
        return self.total_bytes <= self.budget_bytes


def fit(
    headers: Sequence[GgufHeader],
    budget_bytes: int,
    *,
    context_tokens: int = CONTEXT_TOKENS,
    type_k: str = "f16",
    type_v: str = "f16",
    projector: GgufHeader | None = None,
) -> Fit:
    """Whether a model, by the headers of all its parts, fits with one sequence of a context and with its projector.

    Weights are counted as the file has them, the cache as llama.cpp sets it aside. What steps compute with comes on
    top: :func:`bodhi_asgi.engine.memory.model_memory` knows that of a file on this machine.
    """
    beside = 0
    if projector is not None:
        sight = sight_of(projector)
        beside = weight_bytes(projector) + sight.picture_bytes(sight.patches(context_tokens))
    return Fit(
        sum(map(weight_bytes, headers)),
        context_bytes(headers[0], context_tokens, type_k, type_v),
        context_tokens,
        budget_bytes,
        beside,
    )


def context_bytes(header: GgufHeader, tokens: int = CONTEXT_TOKENS, type_k: str = "f16", type_v: str = "f16") -> int:
    """Bytes of a context: cells of attention and the state of one sequence; 0 where the header does not tell."""
    return (cache_bytes(header, tokens, type_k, type_v) or 0) + state_bytes(header, 1)


def room_tokens(headers: Sequence[GgufHeader], budget_bytes: int) -> int:
    """Tokens of the longest context that fits beside the weights; no more than it was trained for, 0 for none."""
    header = headers[0]
    trained = header.number("context_length")
    left = budget_bytes - sum(map(weight_bytes, headers)) - state_bytes(header, 1)
    each = cache_bytes(header, 1)
    if left < 0:
        return 0
    return min(trained, left // each) if each else trained
