"""Sequences that nobody uses, copied out of their cells to memory until somebody goes on with them.

Cells are few, and every step looks at each that is taken. Memory beside them costs nothing but its room, and to copy a
sequence there and back takes a thousandth of the time in which it is computed. This is the accounting, in cells; the
runner has the bytes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from bodhi_asgi.engine.memory import stowage_bytes
from bodhi_asgi.engine.slots import MOST_IDS
from bodhi_asgi.engine.types import ModelFacts, ModelSpec

MOST_PLACES: Final = 256
"""Each may be looked at when a prompt is looked up."""

LONGEST_BYTES: Final = 64 * 1024 * 1024
LONGEST_SHARE: Final = 32
"""A sequence is copied in one go, between two steps: no more of it than that many bytes, or that part of the weights,
whose step takes as much longer."""


class Stowage:
    """At most ``cells`` cells in all, ``longest`` of one sequence. Places are numbered above all sequence ids."""

    def __init__(self, cells: int = 0, longest: int = 0) -> None:
        self.cells_stowed = 0
        self._cells = cells
        self._longest = longest
        self._places: dict[int, int] = {}  # how many cells each has, longest unused first
        self._held: int | None = None
        self._next = MOST_IDS

    def takes(self, cells: int) -> bool:
        """Whether there can be room for so many, if others are given up."""
        held = 0 if self._held is None else self._places[self._held]
        return 0 < cells <= min(self._longest, self._cells - held)

    def put(self, cells: int) -> int:
        """A place for so many cells, which :meth:`takes` has room for. Then every :attr:`surplus` is to be given up."""
        assert self.takes(cells), "more cells stowed than there is room for"
        place, self._next = self._next, self._next + 1
        self._places[place] = cells
        self.cells_stowed += cells
        return place

    @property
    def surplus(self) -> int | None:
        """The place that has to be given up next, if one has to: the one unused for longest."""
        if self.cells_stowed <= self._cells and len(self._places) <= MOST_PLACES:
            return None
        return next(place for place in self._places if place != self._held)

    @property
    def oldest(self) -> int | None:
        """The place that is unused for longest."""
        return next(iter(self._places), None)

    @contextmanager
    def held(self, place: int) -> Iterator[None]:
        """Keep a place from being given up, and let it be the one that was used last of all."""
        self.use(place)
        self._held = place
        yield
        self._held = None

    def has(self, place: int) -> bool:
        """Whether there is something under this number."""
        return place in self._places

    def cells_of(self, place: int) -> int:
        """How many cells a place has."""
        return self._places[place]

    def use(self, place: int) -> None:
        """It was used last of all."""
        self._places[place] = self._places.pop(place)

    def remove(self, place: int) -> None:
        """Give a place up."""
        self.cells_stowed -= self._places.pop(place)

    def check(self) -> None:
        """Raise AssertionError unless the cells of all places add up, and are no more than there is room for."""
        assert self.cells_stowed == sum(self._places.values()), "stowed cells do not add up"
        assert self.surplus is None, "more is stowed than there is room for"


def make_stowage(spec: ModelSpec, facts: ModelFacts) -> Stowage:
    """The stowage of a model as it was loaded: none where sequences can be shared as they stand only."""
    if facts.reuse == "whole" or not facts.cell_bytes:
        return Stowage()
    longest = max(LONGEST_BYTES, facts.size_bytes // LONGEST_SHARE)
    most = stowage_bytes(spec, facts.cell_bytes * facts.n_ctx)
    return Stowage(most // facts.cell_bytes, longest // facts.cell_bytes)
