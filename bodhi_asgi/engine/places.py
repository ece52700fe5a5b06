"""Who has a place and who gives way to whom: slots and cells go to those who run, and everybody else waits in line.

When the next in turn finds no place, one that stands still gives his own, and then the youngest of the owner who has
most, until shares are even. When cells run out, what is only cached goes first; then those who stand still; then the
youngest, who waits again. What was generated stays, and is computed anew.
"""

import time
from collections import Counter
from collections.abc import Callable
from typing import Final

from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.engine.queue import FairQueue
from bodhi_asgi.engine.sequence import Sequence
from bodhi_asgi.engine.turnover import Turnover


class Places:
    """Of one scheduler, which alone changes them. ``now_s`` is asked when somebody begins, ends, or comes in vain."""

    def __init__(
        self,
        cells: Cells,
        *,
        queue_limit: int,
        queue_limit_per_owner: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.preemptions = 0
        """How often somebody who ran had to give his place back."""
        self._cells = cells
        self._slots = cells.table
        self._queue_limit = queue_limit
        self._queue_limit_per_owner = queue_limit_per_owner
        self._now_s = now_s
        self._turnover = Turnover()
        self.running: Final[list[Sequence]] = []
        """Who was let in first stands first, whenever he came."""
        self.parked: Final[list[Sequence]] = []
        """Paused, and without slot and cells, because others needed them."""
        self.queue: Final[FairQueue[Sequence]] = FairQueue(lambda sequence: sequence.work.request.priority)

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits, or only what is paused. Who waits can always be let in then."""
        return not self.queue and all(sequence.is_paused for sequence in self.running)

    def check_line(self, owner: str) -> None:
        """Raise EngineBusy when the line is full, for all or for ``owner``. Who finds a free slot is never refused."""
        waiting = len(self.queue)
        free = self._slots.slots_total - self._slots.slots_used
        if waiting < free:
            return
        # Who does not read his answers would otherwise leave any number of them behind, one place after the other.
        own = self.queue.waiting(owner) + sum(sequence.work.owner == owner for sequence in self.parked)
        if waiting >= self._queue_limit + free:
            limit, ahead, sharers = f"no more than {self._queue_limit} may wait", waiting + 1 - free, 1
        elif owner and own >= self._queue_limit_per_owner + free:
            limit = f"no more than {self._queue_limit_per_owner} of one caller may wait, as {own} of yours do"
            # Slots are shared evenly: of each round of turns one is this owner's.
            ahead, sharers = (
                own + 1 - free,
                len({owner, *self.queue.owners, *(each.work.owner for each in self.running)}),
            )
        else:
            return
        raise EngineBusy(
            f"the queue is full: this would be number {waiting + 1} in line, and {limit}; try again later",
            retry_after_s=self._retry_after_s(ahead * sharers),
            position=waiting + 1,
        )

    def let_in(self) -> None:
        """Give places to those in line, as far as there are any or somebody has to give way."""
        while (owner := self._make_way()) is not None:
            sequence = self.queue.pop(owner)
            if sequence.began_at_s is None:
                sequence.began_at_s = self._now_s()
            self._cells.enter(sequence)
            self.running.append(sequence)

    def make_room(self, sequence: Sequence, cells: int) -> bool:
        """Take cells from the youngest until ``sequence`` can have its own; False when it had to give way itself."""
        while self._cells.available < cells:
            paused = [other for other in self.running if other.is_paused]
            if paused:
                self._park(paused[-1])
                continue
            youngest = self.running[-1]
            self.preempt(youngest)
            if youngest is sequence:
                return False
        return True

    def preempt(self, sequence: Sequence) -> None:
        """Have one that runs give cells and slot back and wait again, at the head of the line."""
        self.preemptions += 1
        self._release(sequence)
        self.queue.put_back(sequence.work.owner, sequence)

    def set_paused(self, sequence: Sequence, *, paused: bool) -> None:
        """Have one stand still, in its place until others need that, or go on."""
        sequence.is_paused = paused
        if not paused and sequence in self.parked:
            self.parked.remove(sequence)
            self.queue.put_back(sequence.work.owner, sequence)

    def leave(self, sequence: Sequence) -> None:
        """Take one away for good, wherever it is."""
        if sequence.began_at_s is not None:
            self._turnover.took(self._now_s() - sequence.began_at_s)
        if sequence in self.parked:
            self.parked.remove(sequence)
        elif sequence.slot is None:
            self.queue.remove(sequence.work.owner, sequence)
        else:
            self._release(sequence)

    def _retry_after_s(self, ahead: int) -> float:
        """When so many will have had their turn."""
        began = [each.began_at_s for each in self.running if each.began_at_s is not None]
        so_far_s = self._now_s() - sum(began) / len(began) if began else 0.0
        return self._turnover.retry_after_s(ahead, self._slots.slots_total, so_far_s=so_far_s)

    def _make_way(self) -> str | None:
        """Who is next and can be admitted now, if need be in the place of those who stand still or have most."""
        while True:
            held = Counter(sequence.work.owner for sequence in self.running)
            owner = self.queue.next_owner(held)
            if owner is None or self._fits(self.queue.peek(owner)):
                return owner
            paused = [sequence for sequence in self.running if sequence.is_paused]
            if paused:
                self._park(paused[-1])
            elif not self._take_from_who_has_most(held, held[owner] + 2):
                return None

    def _fits(self, following: Sequence) -> bool:
        """Whether there is room without taking cells from those who run; alone, everything fits."""
        if not self._slots.has_free_slot:
            return False
        if not self.running:
            return True
        owed = sum(sequence.owed for sequence in self.running)
        return len(following.tokens) - self._cells.shared_in_use(following) + owed < self._cells.available

    def _take_from_who_has_most(self, held: Counter[str], least: int) -> bool:
        """Have the youngest of that owner give its place back, if he has ``least`` or more; False if nobody has."""
        owner, slots = held.most_common(1)[0]
        if slots < least:
            return False
        self.preemptions += 1
        youngest = next(sequence for sequence in reversed(self.running) if sequence.work.owner == owner)
        self._release(youngest)
        self.queue.return_to_line(owner, youngest)
        return True

    def _park(self, sequence: Sequence) -> None:
        """Let a paused sequence wait without a place until its reader goes on."""
        self._release(sequence)
        self.parked.append(sequence)

    def _release(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._cells.leave(sequence)
