"""Where the tokens of a sequence stand, for models that see images in two dimensions (M-RoPE).

Such an image takes as many positions as it is wide or high, whichever is more, not one for each of its places; what
follows stands that much nearer. In the memory of llama.cpp all of the image has the position of its first place.
Everybody else counts tokens, so this is where the two are told apart.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from bodhi_asgi.engine.images import place_of
from bodhi_asgi.engine.plan import Row


class Solid(NamedTuple):
    """An image among the tokens ``begin…end`` of a sequence, and how many positions it takes."""

    begin: int
    end: int
    positions: int


class Positions:
    """Of the sequences of one context, by their slots. Where no image takes less than its places, nothing is kept."""

    def __init__(self) -> None:
        self._solids: dict[int, list[Solid]] = {}

    def of(self, slot: int, index: int) -> int:
        """The position of a token; within an image that of the image."""
        position = index
        for solid in self._solids.get(slot, ()):
            if index <= solid.begin:
                break
            position -= min(index, solid.end) - solid.begin
            position += solid.positions if index >= solid.end else 0
        return position

    def add(self, slot: int, solid: Solid) -> None:
        """An image is about to be computed, or more of it."""
        solids = self._solids.setdefault(slot, [])
        if not solids or solids[-1].begin < solid.begin:
            solids.append(solid)

    def clear(self, slot: int, begin: int) -> None:
        """The tokens from ``begin`` on are gone."""
        left = [solid for solid in self._solids.pop(slot, ()) if solid.begin < begin]
        if left:
            assert left[-1].end <= begin, "an image is given up as one"
            self._solids[slot] = left

    def copy(self, source: int, target: int, cells: int | None = None) -> None:
        """The slot ``target``, which is empty, has the first tokens of ``source`` too, or all of them."""
        shared = [solid for solid in self._solids.get(source, ()) if cells is None or solid.begin < cells]
        if shared:
            self._solids[target] = shared

    def placed(self, rows: Sequence[Row]) -> Sequence[Row]:
        """The rows with their positions in place of how many tokens stand before them."""
        if not self._solids:
            return rows
        return [replace(row, position=self.of(row.slot, row.position)) for row in rows]


def cuts(row: Row) -> bool:
    """Whether a row goes on within an image whose places cannot be taken back one by one."""
    if row.tokens[0] >= 0:
        return False
    place = place_of(row.tokens[0])
    return place.is_solid and place.place > 0
