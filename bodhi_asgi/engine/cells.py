"""The cells of running sequences, and what is left in them for those who come later.

A sequence that leaves its place leaves its cells behind as cache, until somebody needs them; one that begins takes over
the longest beginning that is there. One that shares a long beginning with another whose prompt is just being computed
waits for it, so that a burst on a common beginning computes that once.
"""

from collections.abc import Hashable, Mapping
from typing import Final

from bodhi_asgi.engine.plan import Edit
from bodhi_asgi.engine.prefix import NoPrefix, PrefixCache, RadixPrefix
from bodhi_asgi.engine.sequence import Sequence
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.types import ModelFacts, ModelSpec

LEAST_SHARED: Final = 16
"""Shorter beginnings are computed again: it costs less than the bookkeeping, and every template has the same first
words."""

WORTH_WAITING: Final = 32
"""So many tokens less to compute make it worth to wait for another's prompt."""


class Cells:
    """Slots, cells and the prefix cache as one. ``shared`` lets owners use what others have computed."""

    def __init__(self, table: SlotTable, prefix: PrefixCache | None = None, *, shared: bool = False) -> None:
        self.table = table
        self._prefix = prefix or NoPrefix()
        self._shared = shared
        self._running: dict[int, Sequence] = {}

    @property
    def available(self) -> int:
        """Cells for those who run: what nobody has, and what is only cached."""
        return self.table.cells_available

    def enter(self, sequence: Sequence) -> None:
        """Give a sequence a slot. There must be a free one."""
        if not self.table.has_free_id:
            self._evict()
        sequence.slot = self.table.take()
        self._running[sequence.slot] = sequence
        if self._prefix.insert(sequence.slot, self._key(sequence), sequence.tokens):
            self._prefix.hold(sequence.slot)

    def begin(self, sequence: Sequence, ahead: Mapping[int, Sequence]) -> bool:
        """Take over what is there of a prompt. False while it waits for one of those ``ahead`` to compute more of it.

        ``ahead`` are sequences by slot that run and were let in before; so nobody waits for who waits for him.
        """
        assert sequence.slot is not None
        source, ready, promised = self._best(sequence, ahead)
        sequence.promised = promised if promised - ready >= WORTH_WAITING else 0
        if sequence.promised:
            return False
        if ready >= LEAST_SHARED:
            self.table.hold(sequence.slot, 0)  # of a first step that was given up
            self.table.share(source, sequence.slot, ready)
            sequence.begin_at(ready)
            if source not in self._running:
                self._prefix.let_go(source)
        else:
            sequence.begin_at(0)
        return True

    def extend(self, sequence: Sequence, size: int) -> None:
        """Cells for ``size`` more tokens, taken from the cache if need be; :attr:`available` must have them."""
        assert sequence.slot is not None
        cells = sequence.computed + size
        while cells - self.table.cells_of(sequence.slot) > self.table.cells_free:
            self._evict()
        self.table.hold(sequence.slot, cells)

    def take_back(self, sequence: Sequence) -> None:
        """Give up the cells of a guess beyond what has come true."""
        assert sequence.slot is not None
        self.table.hold(sequence.slot, sequence.computed)

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence's slot; what it has computed stays as cache if it is worth it and not there already."""
        assert sequence.slot is not None
        slot, sequence.slot = sequence.slot, None
        computed, sequence.computed = sequence.computed, 0
        sequence.promised = 0
        del self._running[slot]
        self._prefix.remove(slot)
        key, tokens = self._key(sequence), sequence.tokens[:computed]
        if computed < LEAST_SHARED or self._is_there(key, tokens) or not self._prefix.insert(slot, key, tokens):
            self.table.drop(slot)
            return
        self.table.hold(slot, computed)
        self.table.keep(slot)
        self._prefix.let_go(slot)

    def shared_in_use(self, sequence: Sequence) -> int:
        """How many of a waiting sequence's tokens those who run have or will have in cells that it can share."""
        most = len(sequence.tokens) - 1
        for slot, common in self._prefix.match(self._key(sequence), sequence.tokens):
            if slot in self._running:
                shared = min(common, most)
                return shared if shared >= WORTH_WAITING else 0
        return 0

    def forget(self) -> bool:
        """Give up everything that is only cached. Whether there was any."""
        before = self.table.cells_kept
        while (slot := self._prefix.evict()) is not None:
            self.table.drop(slot)
        return before > 0

    def edits(self) -> tuple[Edit, ...]:
        """What is to be done to cells before the next step, in order."""
        return self.table.edits()

    def check(self) -> None:
        """Raise AssertionError unless slots, cells and the tree agree."""
        self.table.check()
        self._prefix.check()
        assert self.table.slots_used == len(self._running), "a slot without a sequence, or the reverse"

    def _best(self, sequence: Sequence, ahead: Mapping[int, Sequence]) -> tuple[int, int, int]:
        """The id that has most of a sequence's tokens, how many, and how many somebody ahead will have."""
        source, ready, promised = -1, 0, 0
        most = len(sequence.tokens) - 1  # the last one is always computed, for what follows it
        for slot, common in self._prefix.match(self._key(sequence), sequence.tokens):
            if common <= max(ready, promised):
                break
            if slot == sequence.slot:
                continue
            there = min(common, most)
            leader = self._running.get(slot)
            if leader is not None:
                if slot in ahead:
                    promised = max(promised, there)
                there = min(there, leader.computed)
            if there > ready:
                source, ready = slot, there
        return source, ready, promised

    def _is_there(self, key: Hashable, tokens: list[int]) -> bool:
        """Whether the cache has all of this; what has only a beginning of it is given up for it."""
        beginnings = []
        for slot, common in self._prefix.match(key, tokens):
            other = self._running.get(slot)
            if common == len(tokens) and (other is None or other.computed >= common):
                if other is None:
                    self._prefix.let_go(slot)
                return True
            if other is None and self.table.cells_of(slot) == common:
                beginnings.append(slot)
        for slot in beginnings:
            self._prefix.remove(slot)
            self.table.drop(slot)
        return False

    def _evict(self) -> None:
        slot = self._prefix.evict()
        assert slot is not None, "there is nothing left to evict"
        self.table.drop(slot)

    def _key(self, sequence: Sequence) -> Hashable:
        return (None if self._shared else sequence.work.owner, sequence.adapters)


def make_cells(spec: ModelSpec, facts: ModelFacts) -> Cells:
    """The cells of a model as it was loaded."""
    is_kept = spec.prefix_sharing != "none" and facts.sequences > spec.slots
    table = SlotTable(spec.slots, facts.n_ctx, facts.sequences)
    return Cells(table, RadixPrefix() if is_kept else NoPrefix(), shared=spec.prefix_sharing == "all")
