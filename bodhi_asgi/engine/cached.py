"""What nobody runs any more and somebody may ask for again: which of it stays in cells, which is copied out to memory,
and which is given up.

Cells are few, and every step looks at each that is taken; so what lies there unused is in the way of those who run,
and the longer the more.
"""

from typing import Final

from bodhi_asgi.engine.prefix import PrefixCache
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.stowage import Stowage

SHORT: Final = 256
"""What is shorter saves little, and still lengthens every step: llama.cpp looks at each cell to see whose it is."""

SHORT_SHARE: Final = 64
LEAST_FOR_SHORT: Final = 256
"""Short sequences may keep a small share of the cells as cache, or so many; long ones all that nobody needs.

With an eighth in their place, a small model lost a third of its speed. Where sequences are shared whole, the few ids
that there are for the cache bound it anyway.
"""


class CachedSequences:
    """Known by sequence ids as long as they have cells, and by places in memory after that.

    What is cached is copied out to ``stowage`` when its cells are needed, or when so many tokens as ``rest`` says have
    been computed since it was used last; what cannot be is given up after so many as ``life`` says. With ``whole``,
    sequences can only be shared as they stand.
    """

    def __init__(
        self,
        table: SlotTable,
        prefix: PrefixCache,
        *,
        whole: bool,
        life: int | None,
        rest: int | None,
        stowage: Stowage,
    ) -> None:
        self._table = table
        self._prefix = prefix
        self._whole = whole
        self._life = life
        self._rest = rest
        self._stowage = stowage
        self._computed = 0
        self._used_at: dict[int, int] = {}  # how much was computed when they were used last, longest unused first
        self._short: dict[int, int] = {}  # the cells of short ones among them, longest unused first
        self._resting: dict[int, int] = {}  # when those were used that may yet be stowed for their age

    @property
    def cells_stowed(self) -> int:
        """Cells whose contents are in memory."""
        return self._stowage.cells_stowed

    def is_stowed(self, number: int) -> bool:
        """Whether it is a place in memory, and not a sequence id."""
        return self._stowage.has(number)

    def cells_of(self, number: int) -> int:
        """How many cells a sequence has or had."""
        return self._stowage.cells_of(number) if self.is_stowed(number) else self._table.cells_of(number)

    def use(self, number: int) -> None:
        """It was used last of all. Of short ones only so many stay in cells."""
        if self.is_stowed(number):
            self._stowage.use(number)
            return
        self._leaves_cells(number)
        self._prefix.let_go(number)
        self._used_at[number] = self._resting[number] = self._computed
        cells = self._table.cells_of(number)
        if cells < SHORT and not self._whole:
            self._short[number] = cells
            most = max(LEAST_FOR_SHORT, self._table.cells // SHORT_SHARE)
            while sum(self._short.values()) > most:
                self._clear_out(next(iter(self._short)))

    def has_computed(self, tokens: int) -> None:
        """So many tokens were computed in a step; what has been unused for too long is stowed, or given up."""
        self._computed += tokens
        while self._rest is not None and (slot := self._first(self._resting, self._rest)) is not None:
            del self._resting[slot]
            self._stow(slot)
        while self._life is not None and (slot := self._first(self._used_at, self._life)) is not None:
            self.give_up(slot)

    def fetch(self, place: int, slot: int, cells: int) -> None:
        """Bring the first so many cells of a sequence back. It stays in memory too as long as it has more.

        There must be room for all of them among those that nobody runs.
        """
        stowed = self._stowage.cells_of(place)
        with self._stowage.held(place):  # others may be stowed to make room for it
            while self._table.cells_free < stowed and self.evict():
                pass
        self._table.fetch(place, slot, stowed)
        self._table.hold(slot, cells)
        if cells == stowed:
            self.give_up(place)

    def evict(self) -> bool:
        """Take the longest unused sequence out of its cells. Whether there was any."""
        slot = self._prefix.evictable
        if slot is None:
            return False
        self._clear_out(slot)
        return True

    def give_up(self, number: int) -> None:
        """Forget a sequence, wherever it is."""
        self._prefix.remove(number)
        if self.is_stowed(number):
            self._stowage.remove(number)
            self._table.forget(number)
        else:
            self._leaves_cells(number)
            self._table.drop(number)

    def give_up_all_stowed(self) -> None:
        """Forget whatever is in memory."""
        while (place := self._stowage.oldest) is not None:
            self.give_up(place)

    def check(self, running: set[int]) -> None:
        """Raise AssertionError unless what is known of each sequence agrees, and none of them runs."""
        self._stowage.check()
        assert self._short.keys() <= self._used_at.keys(), "a short sequence that is not cached"
        assert self._resting.keys() <= self._used_at.keys(), "a sequence that rests and is not cached"
        assert not self._used_at.keys() & running, "a sequence that runs counts as cached"

    def _first(self, used_at: dict[int, int], most: int) -> int | None:
        """The longest unused sequence, if more than so many tokens have been computed since."""
        slot = next(iter(used_at), None)
        return slot if slot is not None and self._computed - used_at[slot] > most else None

    def _clear_out(self, slot: int) -> None:
        if not self._stow(slot):
            self.give_up(slot)

    def _stow(self, slot: int) -> bool:
        """Copy a sequence out to memory, if that frees most of its cells. Whether it was."""
        cells = self._table.cells_of(slot)
        if not self._stowage.takes(cells) or 2 * self._table.own_cells(slot) < cells:
            return False
        place = self._stowage.put(cells)
        self._leaves_cells(slot)
        self._prefix.rename(slot, place)
        self._table.stow(slot, place)
        while (surplus := self._stowage.surplus) is not None:
            self.give_up(surplus)
        return True

    def _leaves_cells(self, slot: int) -> None:
        for known in (self._used_at, self._short, self._resting):
            known.pop(slot, None)
