"""Guesses of what a sequence says next: several tokens are then computed in one step and kept as far as they fit.

Each position of a guess is drawn as if there had been no guess, and the guess goes on only as long as it is what was
drawn. So answers are those without guesses, greedy or sampled, held to a grammar or not; they only come sooner.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

MOST_STREAMS: Final = 4
"""With more sequences at once a step is used well without guesses, which would only make it longer."""

FIRST_SIZE: Final = 4

MOST_REST: Final = 15
"""Steps for which a sequence makes no guess after many in a row that came to nothing."""

GRAMS: Final = (3, 2)
"""Of so many tokens that repeat, longest first, what followed them before is the guess."""


class Wanted(NamedTuple):
    """A sequence that would take a guess of up to ``most`` tokens."""

    number: int
    tokens: list[int]
    most: int


class Drafter(Protocol):
    """Makes guesses."""

    def draft(self, wanted: Sequence[Wanted]) -> Mapping[int, Sequence[int]]:
        """Guesses by the number of the sequence, for those that it has one for."""
        ...

    def forget(self, number: int) -> None:
        """A sequence has ended. One that it does not know is none of its."""
        ...


@dataclass(slots=True)
class _Grams:
    """Where each short run of tokens stood last, told by what follows it. ``read`` tokens are in it."""

    after: dict[tuple[int, ...], int] = field(default_factory=dict)
    read: int = 0


class PromptLookup:
    """Guesses that a sequence goes on as it did before: for answers that repeat what the prompt says."""

    def __init__(self) -> None:
        self._grams: dict[int, _Grams] = {}

    def draft(self, wanted: Sequence[Wanted]) -> Mapping[int, Sequence[int]]:
        return {one.number: guess for one in wanted if (guess := self._guess(one))}

    def forget(self, number: int) -> None:
        self._grams.pop(number, None)

    def _guess(self, wanted: Wanted) -> list[int]:
        tokens = wanted.tokens
        grams = self._grams.setdefault(wanted.number, _Grams())
        for end in range(grams.read, len(tokens)):
            for size in GRAMS:
                if end >= size:
                    grams.after[tuple(tokens[end - size : end])] = end
        grams.read = len(tokens)
        for size in GRAMS:
            begin = grams.after.get(tuple(tokens[-size:]))
            if begin is not None:
                guess = tokens[begin : begin + wanted.most]
                # An image can be followed and not foretold.
                return guess[: next((place for place, token in enumerate(guess) if token < 0), len(guess))]
        return []


@dataclass(slots=True)
class _Luck:
    """How a sequence's guesses have done: the size of the next, how many came to nothing in a row, steps to rest."""

    size: int
    failed: int = 0
    rest: int = 0


class Sizes:
    """How long a guess may be: longer for sequences whose guesses come true, shorter for others.

    A guess that comes to nothing is paid for, most of all where a step is bound by computing and not by memory. So
    after each such guess in a row a sequence rests twice as long, up to :data:`MOST_REST` steps.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._lucks: dict[int, _Luck] = {}

    def of(self, number: int) -> int:
        """For the next guess; 0 while the sequence rests from guessing."""
        luck = self._lucks.get(number)
        if luck is None:
            return min(FIRST_SIZE, self._most)
        return 0 if luck.rest else luck.size

    def learn(self, number: int, guessed: int, kept: int) -> None:
        """So much of a guess came true in a step; ``guessed`` is 0 where there was none."""
        if guessed:
            luck = self._lucks.setdefault(number, _Luck(guessed))
            luck.size = min(self._most, 2 * guessed if kept == guessed else max(1, kept))
            luck.failed = 0 if kept else luck.failed + 1
            luck.rest = min(MOST_REST, 2**luck.failed - 1)
        elif (resting := self._lucks.get(number)) is not None and resting.rest:
            resting.rest -= 1

    def forget(self, number: int) -> None:
        """A sequence has ended."""
        self._lucks.pop(number, None)
