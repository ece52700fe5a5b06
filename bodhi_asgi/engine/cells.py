"""The cells of running sequences, and what is left in them for those who come later.

A sequence that leaves its place leaves its cells behind as cache, until somebody needs them, or until they were unused
for so long that they are better copied out to memory; one that begins takes over the longest beginning that is there.
One that shares a long beginning with another whose prompt is just being computed waits for it, so that a burst on a
common beginning computes that once.
"""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from bodhi_asgi.engine.cached import CachedSequences
from bodhi_asgi.engine.images import seam
from bodhi_asgi.engine.life import life_of, rest_of
from bodhi_asgi.engine.plan import Edit
from bodhi_asgi.engine.prefix import NoPrefix, PrefixCache, RadixPrefix
from bodhi_asgi.engine.sequence import Sequence
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.stowage import Stowage, make_stowage
from bodhi_asgi.engine.types import ModelFacts, ModelSpec

LEAST_SHARED: Final = 16
"""Shorter beginnings are computed again: it costs less than the bookkeeping, and every template has the same first
words."""

WORTH_WAITING: Final = 32
"""So many tokens less to compute make it worth to wait for another's prompt."""

WORTH_KEEPING: Final = 32
"""So many tokens of a prompt are worth a copy of the state they lead to, where sequences are shared whole."""

WORTH_FETCHING: Final = 32
"""So many tokens less to compute make it worth to fetch a sequence from memory, where cells have less of it."""


@dataclass(slots=True)
class _Found:
    """How much of a prompt is ``ready`` in ``source`` or in memory at ``place``, how much ``leader`` is about to have,
    and how much somebody has in a form that cannot be shared."""

    source: int = -1
    ready: int = 0
    place: int | None = None
    leader: Sequence | None = None
    promised: int = 0
    missed: int = 0


class Cells:
    """Slots, cells and the prefix cache as one.

    ``shared`` lets owners use what others have computed. ``whole`` is for models whose sequences can only be shared as
    they stand: copies are kept of the places where prompts are likely to part. For ``life``, ``rest`` and ``stowage``
    see :class:`~bodhi_asgi.engine.cached.CachedSequences`.
    """

    def __init__(
        self,
        table: SlotTable,
        prefix: PrefixCache | None = None,
        *,
        shared: bool = False,
        whole: bool = False,
        life: int | None = None,
        rest: int | None = None,
        stowage: Stowage | None = None,
    ) -> None:
        self.table = table
        self._prefix = prefix or NoPrefix()
        self._shared = shared
        self._whole = whole
        self._keeps_copies = whole and not isinstance(self._prefix, NoPrefix)
        self._running: dict[int, Sequence] = {}
        self._cached = CachedSequences(
            table, self._prefix, whole=whole, life=life, rest=rest, stowage=stowage or Stowage()
        )

    @property
    def stowed(self) -> int:
        """Cells whose contents are in memory."""
        return self._cached.cells_stowed

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
        found = self._best(sequence, ahead)
        sequence.promised = found.promised if found.promised - found.ready >= WORTH_WAITING else 0
        if sequence.promised and found.leader is not None:
            if self._whole:
                found.leader.halts.add(found.promised)
            return False
        ready = found.ready if found.ready >= LEAST_SHARED else 0
        if ready:
            self.table.hold(sequence.slot, 0)  # of a first step that was given up
            if found.place is not None:
                self._cached.fetch(found.place, sequence.slot, ready)
            else:
                self.table.share(found.source, sequence.slot, ready)
                if found.source not in self._running:
                    self._cached.use(found.source)
        sequence.begin_at(ready)
        if self._keeps_copies:
            places = (found.missed, sequence.prompt_tokens - 1)
            sequence.halts = {place for place in places if place - ready >= WORTH_KEEPING}
        return True

    def piece(self, sequence: Sequence, most: int) -> int:
        """How many tokens of a prompt to compute next, at most so many."""
        ends = [place for place in sequence.halts if place > sequence.computed]
        return min(
            most, sequence.pending, sequence.most_at_once, min(ends, default=len(sequence.tokens)) - sequence.computed
        )

    def keep_copies(self, sequences: Iterable[Sequence]) -> None:
        """Keep a copy of those that have come to one of their halts."""
        if not self._keeps_copies:  # asked before every step
            return
        for sequence in sequences:
            if sequence.computed not in sequence.halts or sequence.slot is None:
                continue
            sequence.halts.discard(sequence.computed)
            key, tokens = self._key(sequence), sequence.tokens[: sequence.computed]
            if not self._is_there(key, tokens) and (self.table.has_free_id or self._cached.evict()):
                copied = self.table.copy(sequence.slot)
                self._prefix.insert(copied, key, tokens)
                self._cached.use(copied)

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

    def has_computed(self, tokens: int) -> None:
        """So many tokens were computed in a step; what has been unused for too long is stowed, or given up."""
        self._cached.has_computed(tokens)

    def leave(self, sequence: Sequence) -> None:
        """Take a sequence's slot; what it has computed stays as cache if it is worth it and not there already."""
        assert sequence.slot is not None
        slot, computed = sequence.slot, seam(sequence.tokens, sequence.computed)
        key, tokens = self._key(sequence), sequence.tokens[:computed]
        self._take_out(sequence)
        # A sequence that can be shared as it stands only cannot be cut to what was computed of it either.
        is_good = computed >= LEAST_SHARED and not (self._whole and self.table.cells_of(slot) != computed)
        if is_good and not self._is_there(key, tokens) and self._prefix.insert(slot, key, tokens):
            self.table.hold(slot, computed)
            self.table.keep(slot)
            self._cached.use(slot)
        else:
            self.table.drop(slot)

    def lose(self, sequence: Sequence) -> None:
        """What a sequence had is gone, whether its own or shared; it begins again in another place."""
        assert sequence.slot is not None
        slot = sequence.slot
        self._take_out(sequence)
        self.table.drop(slot)
        # What could not be fetched once would be fetched again and again.
        self._cached.give_up_all_stowed()
        self.enter(sequence)

    def shared_in_use(self, sequence: Sequence) -> int:
        """How many of a waiting sequence's tokens those who run have or will have in cells that it can share."""
        most = 0 if sequence.is_scored else len(sequence.tokens) - 1
        for slot, common in self._prefix.match(self._key(sequence), sequence.tokens):
            if slot in self._running:
                shared = min(common, most)
                return shared if shared >= WORTH_WAITING else 0
        return 0

    def missing(self, sequence: Sequence) -> int:
        """How many of a waiting sequence's tokens are computed nowhere."""
        return len(sequence.tokens) - self._best(sequence, {}).ready

    def forget(self) -> bool:
        """Give up all cells that are only cached. Whether there were any."""
        before = self.table.cells_kept
        while self._cached.evict():
            pass
        return before > 0

    def edits(self) -> tuple[Edit, ...]:
        """What is to be done to cells before the next step, in order."""
        return self.table.edits()

    def check(self) -> None:
        """Raise AssertionError unless slots, cells and the tree agree."""
        self.table.check()
        self._prefix.check()
        assert self.table.slots_used == len(self._running), "a slot without a sequence, or the reverse"
        self._cached.check(set(self._running))

    def _best(self, sequence: Sequence, ahead: Mapping[int, Sequence]) -> _Found:
        found, stowed = _Found(), None
        if sequence.is_scored:
            return found
        most = len(sequence.tokens) - 1  # the last one is always computed, for what follows it
        for slot, common in self._prefix.match(self._key(sequence), sequence.tokens):
            if common <= max(found.ready, found.promised):
                break
            if slot == sequence.slot:
                continue
            there = min(common, most)
            if self._cached.is_stowed(slot):
                if stowed is None and self._cached.cells_of(slot) <= self.table.cells_available:
                    stowed = _Found(ready=seam(sequence.tokens, there), place=slot)
                continue
            leader = self._running.get(slot)
            has = leader.computed if leader is not None else self.table.cells_of(slot)
            ready = seam(sequence.tokens, min(has, there))
            if self._whole and ready != has:
                ready = 0
            if ready > found.ready:
                found.source, found.ready = slot, ready
            if slot in ahead and has < there > found.promised:
                found.leader, found.promised = leader, there
            if ready < there:
                found.missed = max(found.missed, there)
        if stowed is not None and stowed.ready - max(found.ready, found.promised) >= WORTH_FETCHING:
            return stowed
        return found

    def _is_there(self, key: Hashable, tokens: list[int]) -> bool:
        """Whether the cache has all of this; what has only a beginning of it is given up for it, if it can be."""
        beginnings = []
        for slot, common in self._prefix.match(key, tokens):
            if self._cached.is_stowed(slot) and self._cached.cells_of(slot) == common:
                beginnings.append(slot)  # what is in cells is there sooner
                continue
            other = self._running.get(slot)
            has = other.computed if other is not None else self._cached.cells_of(slot)
            if common == len(tokens) and (has == common if self._whole else has >= common):
                if other is None:
                    self._cached.use(slot)
                    return True
                if not self._whole:
                    return True
            elif other is None and has == common and not self._whole:
                beginnings.append(slot)
        for slot in beginnings:
            self._cached.give_up(slot)
        return False

    def _take_out(self, sequence: Sequence) -> None:
        assert sequence.slot is not None
        del self._running[sequence.slot]
        self._prefix.remove(sequence.slot)
        sequence.slot = None
        sequence.computed = sequence.promised = 0

    def _evict(self) -> None:
        is_done = self._cached.evict()
        assert is_done, "there is nothing left to evict"

    def _key(self, sequence: Sequence) -> Hashable:
        return (None if self._shared else sequence.work.owner, sequence.adapters)


def make_cells(spec: ModelSpec, facts: ModelFacts) -> Cells:
    """The cells of a model as it was loaded."""
    is_kept = spec.prefix_sharing != "none" and facts.sequences > spec.slots
    table = SlotTable(spec.slots, facts.n_ctx, facts.sequences)
    prefix = RadixPrefix() if is_kept else NoPrefix()
    is_whole = facts.reuse == "whole"
    # Nobody looks at another's state.
    return Cells(
        table,
        prefix,
        shared=spec.prefix_sharing == "all",
        whole=is_whole,
        life=None if is_whole else life_of(spec, facts),
        rest=rest_of(spec, facts),
        stowage=make_stowage(spec, facts) if is_kept else None,
    )
