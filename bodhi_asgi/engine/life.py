"""How long what is cached is worth its cells.

Every step looks at every cell to see whose it is, once for each head of each layer. To a large model that is nothing; a
small one has computed a prompt again in the time in which it looks past it a few thousand times.
"""

from typing import Final

from bodhi_asgi.engine.types import ModelFacts, ModelSpec

LOOK_BYTES: Final = 50
"""What a look at a cell costs, in bytes of weights.

It takes a nanosecond, and a byte of weights a twenty-fifth of one for each token of a prompt. Half of the time in which
both cost the same is what a sequence in the cache is given, because most are never asked for again.
"""


LOOKS_PER_BYTE: Final = 1.0
"""How many looks at a cell take the time in which a byte of it is copied out to memory and perhaps back."""

SHORTEST_REST: Final = 32
"""Tokens: between two turns of a conversation there may be a word of somebody else's."""


def life_of(spec: ModelSpec, facts: ModelFacts) -> int | None:
    """How many tokens may be computed before what nobody has used since has cost what it was likely to save.

    None for any number: on a graphics card, which looks at all cells at once, and where the file does not say enough.
    """
    looks = _looks(facts)
    if spec.n_gpu_layers or not facts.size_bytes or looks is None:
        return None
    return facts.size_bytes // (LOOK_BYTES * looks)


def rest_of(spec: ModelSpec, facts: ModelFacts) -> int | None:
    """How many tokens may be computed before what nobody has used since is better copied out to memory.

    None for any number, as for :func:`life_of`, and where it cannot be copied.
    """
    looks = _looks(facts)
    if spec.n_gpu_layers or not facts.cell_bytes or looks is None:
        return None
    return max(SHORTEST_REST, int(LOOKS_PER_BYTE * facts.cell_bytes) // looks)


def _looks(facts: ModelFacts) -> int | None:
    """How often a cell is looked at for each token that is computed."""
    architecture = facts.metadata.get("general.architecture", "")
    numbers = [facts.metadata.get(f"{architecture}.{key}", "") for key in ("block_count", "attention.head_count")]
    if not all(each.isdecimal() and int(each) for each in numbers):
        return None
    layers, heads = map(int, numbers)
    return layers * heads
