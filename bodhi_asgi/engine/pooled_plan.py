"""One step over texts that are read in batches, as values: which tokens of which texts, and what numbers came of it.

Kept apart from the plans of generation, because nothing is drawn and nothing stays in a cache.
"""

from dataclasses import dataclass, field

from bodhi_asgi.engine.plan import StepOutcome


@dataclass(frozen=True, slots=True)
class Passage:
    """Tokens of one text from ``position`` on; ``length`` is how many the whole text has.

    A passage that does not begin its text continues what the step before it left in the same ``slot``. The vector of
    a text is cut to ``dimensions`` values, if any are named, before its length is made one.
    """

    slot: int
    position: int
    tokens: tuple[int, ...]
    length: int
    dimensions: int | None = None

    @property
    def end(self) -> int:
        return self.position + len(self.tokens)

    @property
    def is_last(self) -> bool:
        """Whether the text is complete with it."""
        return self.end == self.length


@dataclass(frozen=True, slots=True)
class PooledPlan:
    """Passages of different texts, computed in one batch; what no passage continues is forgotten.

    ``ranks`` says that the texts are pairs to be scored. The texts, with what was computed before of them, have no more
    tokens together than a step may have, or than the longest of them.
    """

    passages: tuple[Passage, ...]
    ranks: bool = False

    @property
    def tokens(self) -> int:
        """How many tokens the batch has."""
        return sum(len(passage.tokens) for passage in self.passages)

    @property
    def cells(self) -> int:
        """How many tokens are remembered at its end."""
        return max(sum(passage.end for passage in self.passages), *(passage.length for passage in self.passages))

    @property
    def continues(self) -> bool:
        """Whether its first passage continues one of the step before; no other can."""
        return self.passages[0].position > 0


@dataclass(frozen=True, slots=True)
class PooledResult:
    """The row of numbers of each slot whose text is complete: 32-bit floats, least byte first.

    A vector has length one, a score is from 0 to 1. The row is empty where the model's numbers were not finite.
    """

    outcome: StepOutcome = StepOutcome.DONE
    vectors: dict[int, bytes] = field(default_factory=dict)
