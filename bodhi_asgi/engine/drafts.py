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


class Sizes:
    """How long a guess may be: longer for sequences whose guesses come true, shorter for others."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._sizes: dict[int, int] = {}

    def of(self, number: int) -> int:
        """For the next guess."""
        return self._sizes.get(number, min(FIRST_SIZE, self._most))

    def learn(self, number: int, guessed: int, kept: int) -> None:
        """So much of a guess came true."""
        if not guessed:
            return
        size = 2 * guessed if kept == guessed else max(1, kept)
        self._sizes[number] = min(self._most, size)

    def forget(self, number: int) -> None:
        """A sequence has ended."""
        self._sizes.pop(number, None)
