"""Which slot and how many KV cells belong to which sequence. Pure accounting; :meth:`SlotTable.check` proves it adds
up.

All slots share the cells of one unified cache, so that one long sequence may use what short ones leave.
"""


class SlotTable:
    """``slots`` sequence ids over ``cells`` shared cells."""

    def __init__(self, slots: int, cells: int) -> None:
        self.cells = cells
        self._free = list(range(slots - 1, -1, -1))
        self._used: dict[int, int] = {}
        self._uncleared: list[int] = []
        self._slots = slots

    @property
    def has_free_slot(self) -> bool:
        return bool(self._free)

    @property
    def slots_total(self) -> int:
        return self._slots

    @property
    def slots_used(self) -> int:
        return len(self._used)

    @property
    def cells_used(self) -> int:
        return sum(self._used.values())

    @property
    def cells_free(self) -> int:
        return self.cells - self.cells_used

    def take(self) -> int:
        """A free slot with no cells yet."""
        slot = self._free.pop()
        self._used[slot] = 0
        return slot

    def hold(self, slot: int, cells: int) -> None:
        """The slot now holds ``cells`` cells in all."""
        self._used[slot] = cells
        assert self.cells_used <= self.cells, "more cells held than there are"

    def give_back(self, slot: int) -> None:
        """The slot is free again, and its cells are cleared before the next step."""
        if self._used.pop(slot):
            self._uncleared.append(slot)
        self._free.append(slot)

    def to_clear(self) -> tuple[int, ...]:
        """Slots given back since the last call, whose cells the next step clears first."""
        cleared, self._uncleared = tuple(self._uncleared), []
        return cleared

    def check(self) -> None:
        """Raise AssertionError unless every slot is either free or used, once, within the cells there are."""
        everything = sorted([*self._free, *self._used])
        assert everything == list(range(self._slots)), f"slots do not add up: {everything}"
        assert 0 <= self.cells_used <= self.cells, "cells do not add up"
