"""Which sequence ids and KV cells belong to whom. Pure accounting; :meth:`SlotTable.check` proves it adds up.

All ids share the cells of one unified cache. A cell may belong to several ids and is counted once, as llama.cpp does:
cells come in runs, a run belongs to every id whose path leads through it, and sharing splits a run where it has to end.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bodhi_asgi.engine.plan import Clear, Copy, Edit, Fetch, Forget, Stow
from bodhi_asgi.engine.types import ModelSpec, Reuse

MOST_IDS: Final = 256
"""llama.cpp's ``LLAMA_MAX_SEQ``."""

IDS_FOR_CACHE: Final[dict[Reuse, int]] = {"beginnings": 24, "whole": 8}
"""Ids beyond the slots, one for each finished sequence that is cached. An id costs a row of logits, and in a model that
has to share sequences whole, a state."""


def sequence_ids(spec: ModelSpec, reuse: Reuse = "beginnings") -> int:
    """How many sequence ids a model is loaded with: no more than a step has tokens, or llama.cpp ends the process."""
    if spec.prefix_sharing == "none":
        return spec.slots
    return max(spec.slots, min(MOST_IDS, spec.n_batch, spec.slots + IDS_FOR_CACHE[reuse]))


@dataclass(eq=False, slots=True)
class _Run:
    """Neighbouring cells with the same holders. ``used`` of the holders are slots in use, the others are kept."""

    before: "_Run | None"
    cells: int
    holders: int = 1
    used: int = 1


@dataclass(eq=False, slots=True)
class _Place:
    """What one id has: its last run, and all its cells, shared ones included."""

    last: _Run | None = None
    cells: int = 0

    def path(self) -> Iterator[_Run]:
        """Its runs, the last one first."""
        run = self.last
        while run is not None:
            yield run
            run = run.before


class SlotTable:
    """At most ``slots`` ids in use, out of ``ids``, over ``cells`` shared cells. Ids out of use may keep their cells.

    What is done to cells is noted as edits, in order, for the next plan.
    """

    def __init__(self, slots: int, cells: int, ids: int | None = None) -> None:
        ids = slots if ids is None else ids
        assert slots <= ids <= MOST_IDS, "there are fewer ids than slots, or more than llama.cpp has"
        self.cells = cells
        self.slots_total = slots
        self.cells_used = 0
        """Cells of slots in use."""
        self.cells_kept = 0
        """Cells that only ids out of use still have."""
        self._ids = ids
        self._free = list(range(ids))
        self._used: dict[int, _Place] = {}
        self._kept: dict[int, _Place] = {}
        self._edits: list[Edit] = []

    @property
    def slots_used(self) -> int:
        return len(self._used)

    @property
    def has_free_slot(self) -> bool:
        """Whether another slot may be used; its id may have to be taken from those that are kept."""
        return len(self._used) < self.slots_total

    @property
    def has_free_id(self) -> bool:
        return bool(self._free)

    @property
    def cells_free(self) -> int:
        """Cells that nobody has."""
        return self.cells - self.cells_used - self.cells_kept

    @property
    def cells_available(self) -> int:
        """Cells that no slot in use has; some may have to be taken from those that are kept."""
        return self.cells - self.cells_used

    def cells_of(self, slot: int) -> int:
        """All cells of an id, shared ones included."""
        return self._place(slot).cells

    def take(self) -> int:
        """A slot with no cells yet. There must be a free slot and a free id."""
        assert self.has_free_slot, "every slot is in use"
        slot = heapq.heappop(self._free)
        self._used[slot] = _Place()
        return slot

    def own_cells(self, slot: int) -> int:
        """Cells that no other id has."""
        return sum(run.cells for run in self._place(slot).path() if run.holders == 1)

    def hold(self, slot: int, cells: int) -> None:
        """The slot now has ``cells`` cells in all; more than before, or less of those that it alone has."""
        place = self._used[slot]
        more = cells - place.cells
        if more == 0:
            return
        assert more <= self.cells_free, "more cells held than there are"
        if place.last is None or place.last.holders > 1:
            place.last = _Run(place.last, 0)
        assert place.last.cells + more >= 0, "cells that are shared cannot be given up one by one"
        place.last.cells += more
        place.cells = cells
        self.cells_used += more
        if more < 0:
            self._edits.append(Clear(slot, cells))

    def share(self, source: int, target: int, cells: int) -> None:
        """The slot ``target``, which has none, gets the first ``cells`` cells of ``source`` too."""
        given, place = self._place(source), self._used[target]
        assert not place.cells, "the slot has cells of its own"
        assert 0 < cells <= given.cells, "more cells shared than there are"
        end = given.cells
        for run in given.path():
            if end - run.cells < cells:
                place.last = run if end == cells else _split(run, run.cells - (end - cells))
                break
            end -= run.cells
        place.cells = cells
        for run in place.path():
            run.holders += 1
            if run.used == 0:
                self.cells_kept -= run.cells
                self.cells_used += run.cells
            run.used += 1
        self._edits.append(Copy(source, target, cells))

    def keep(self, slot: int) -> None:
        """The slot is out of use; its id and its cells stay as they are until :meth:`drop`."""
        place = self._kept[slot] = self._used.pop(slot)
        self._out_of_use(place)

    def copy(self, slot: int) -> int:
        """Keep a copy of a slot in use, as it stands. There must be a free id."""
        given = self._used[slot]
        copied = heapq.heappop(self._free)
        self._kept[copied] = _Place(given.last, given.cells)
        for run in given.path():
            run.holders += 1
        self._edits.append(Copy(slot, copied, given.cells))
        return copied

    def stow(self, slot: int, place: int) -> None:
        """The id is free again, and what its cells had is in memory."""
        self._edits.append(Stow(slot, place))
        self.drop(slot)

    def fetch(self, place: int, slot: int, cells: int) -> None:
        """The slot, which has none, gets so many cells with what is in memory."""
        assert not self._used[slot].cells, "the slot has cells of its own"
        self._edits.append(Fetch(place, slot))
        self.hold(slot, cells)

    def forget(self, place: int) -> None:
        """What is in memory is not wanted any more."""
        self._edits.append(Forget(place))

    def drop(self, slot: int) -> None:
        """The id is free again, whether in use or kept; it loses its cells before the next step."""
        place = self._used.pop(slot, None)
        if place is not None:
            self._out_of_use(place)
        else:
            place = self._kept.pop(slot)
        for run in place.path():
            run.holders -= 1
            if run.holders == 0:
                self.cells_kept -= run.cells
        if place.cells:
            self._edits.append(Clear(slot))
        heapq.heappush(self._free, slot)

    def edits(self) -> tuple[Edit, ...]:
        """What was done to cells since the last call, in order."""
        edits, self._edits = tuple(self._edits), []
        return edits

    def check(self) -> None:
        """Raise AssertionError unless every id is free, used or kept, once, and every run counts its holders."""
        everything = sorted([*self._free, *self._used, *self._kept])
        assert everything == list(range(self._ids)), f"slots do not add up: {everything}"
        holders: dict[_Run, list[int]] = {}
        for places, is_used in ((self._used, 1), (self._kept, 0)):
            for place in places.values():
                runs = list(place.path())
                assert sum(run.cells for run in runs) == place.cells, "a slot has other cells than its runs"
                for run in runs:
                    holders.setdefault(run, []).append(is_used)
        for run, kinds in holders.items():
            assert (run.holders, run.used) == (len(kinds), sum(kinds)), "a run has other holders than it counts"
        used = sum(run.cells for run in holders if run.used)
        kept = sum(run.cells for run in holders if not run.used)
        assert (used, kept) == (self.cells_used, self.cells_kept), "cells do not add up"
        assert used + kept <= self.cells, "more cells held than there are"

    def _place(self, slot: int) -> _Place:
        place = self._used.get(slot)
        return self._kept[slot] if place is None else place

    def _out_of_use(self, place: _Place) -> None:
        for run in place.path():
            run.used -= 1
            if run.used == 0:
                self.cells_used -= run.cells
                self.cells_kept += run.cells


def _split(run: _Run, cells: int) -> _Run:
    """Cut a run after ``cells`` of its cells: the first part, which all its holders now reach through the rest."""
    first = _Run(run.before, cells, run.holders, run.used)
    run.before = first
    run.cells -= cells
    return first
