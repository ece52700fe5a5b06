"""One step of the engine as values: what to compute, and what came of it.

The scheduler makes a plan, a runner carries it out, the scheduler applies the result. Slots are KV sequence ids; a
cell of the cache may belong to several.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TypeAlias

from bodhi_asgi.errors import BodhiError

AdapterSet: TypeAlias = tuple[tuple[int, float], ...]
"""Adapters in force, by their index in the model's spec and in its order, each with its scale; none has scale 0."""


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens of one sequence: ``tokens`` go to positions ``position…`` of ``slot``.

    With ``wants_token`` the last of them is followed by a new token, drawn by ``sampler``. The last ``drafts`` of them
    are a guess: then a token is drawn behind the one before the guess, and behind each that was guessed right.
    ``follows`` has what comes after each of them, as far as the log probabilities of it are wanted.
    """

    slot: int
    sampler: int
    position: int
    tokens: tuple[int, ...]
    wants_token: bool
    drafts: int = 0
    follows: tuple[int, ...] = ()

    @property
    def is_prompt(self) -> bool:
        """Whether it has more than the one token that every answer needs in each step."""
        return len(self.tokens) - self.drafts > 1


@dataclass(frozen=True, slots=True)
class Clear:
    """Take the cells from position ``begin`` on from a sequence id."""

    slot: int
    begin: int = 0


@dataclass(frozen=True, slots=True)
class Copy:
    """Let ``target``, which is empty, have the first ``cells`` cells of ``source`` as well.

    Of a model that can only share sequences whole, these are all that ``source`` has.
    """

    source: int
    target: int
    cells: int


@dataclass(frozen=True, slots=True)
class Stow:
    """Copy all cells of a sequence id out to memory, to be found again under ``place``."""

    slot: int
    place: int


@dataclass(frozen=True, slots=True)
class Fetch:
    """Let ``slot``, which is empty, have cells with what was stowed under ``place``, which stays there as well."""

    place: int
    slot: int


@dataclass(frozen=True, slots=True)
class Forget:
    """Give up what was stowed under ``place``."""

    place: int


Edit: TypeAlias = Clear | Copy | Stow | Fetch | Forget


@dataclass(frozen=True, slots=True)
class StepPlan:
    """Everything of one step: first the edits, in their order, then the rows in one batch.

    llama.cpp applies adapters to a whole batch, so all rows of a step are of sequences with the same ``adapters``.
    Most steps read nothing, and only let those who speak go on: that is told, because all who look at prompts can skip
    those.
    """

    rows: tuple[Row, ...]
    edits: tuple[Edit, ...] = ()
    adapters: AdapterSet = ()
    reads: bool = True

    @property
    def tokens(self) -> int:
        """How many tokens the batch has."""
        return sum(len(row.tokens) for row in self.rows)

    @property
    def prefill_tokens(self) -> int:
        """How many of them belong to prompts."""
        return sum(len(row.tokens) for row in self.rows if row.is_prompt)


class StepOutcome(StrEnum):
    """How a step went."""

    DONE = "done"
    ABORTED = "aborted"  # interrupted; no row counts as computed
    NO_CELLS = "no_cells"  # the KV cache is full; no row counts as computed


@dataclass(frozen=True, slots=True)
class Drawn:
    """A token that was drawn.

    For a request that asks for them: its natural log probability by the model's own logits, before anything shaped
    them, and those of the likeliest tokens, likeliest first, as ``(token, logprob)``.

    For a request that is held to a grammar: whether that allows nothing more after the token, or why no token could be
    drawn.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()
    is_last: bool = False
    error: BodhiError | None = None


@dataclass(frozen=True, slots=True)
class StepResult:
    """What was drawn for each slot whose row wanted a token, and ``more`` of it behind guesses that were right.

    ``scored`` are the tokens that follow those of rows that have some, with their log probabilities. Slots that are
    ``lost`` have no cells any more: the step was not done, and their model cannot go back. Where a row wanted a token
    and its slot is ``held``, its last token is not computed and nothing is drawn yet; it had no guess.
    """

    outcome: StepOutcome = StepOutcome.DONE
    drawn: dict[int, Drawn] = field(default_factory=dict)
    more: dict[int, tuple[Drawn, ...]] = field(default_factory=dict)
    lost: frozenset[int] = frozenset()
    held: frozenset[int] = frozenset()
    scored: dict[int, tuple[Drawn, ...]] = field(default_factory=dict)
