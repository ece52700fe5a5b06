"""The queue: turns between owners, order within one, and what comes back; and the slots that it is the queue for."""

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from bodhi_asgi.engine.queue import FairQueue
from bodhi_asgi.engine.slots import SlotTable

OWNERS = ("ada", "bob", "cyd")


def filled(*arrivals: str) -> FairQueue[str]:
    """A queue in which ``arrivals`` stand, each an owner's letter and a number."""
    queue: FairQueue[str] = FairQueue()
    for arrival in arrivals:
        queue.put(arrival[0], arrival)
    return queue


def emptied(queue: FairQueue[str], held: Counter[str] | None = None) -> list[str]:
    """Everything in the order of its turns; who has a turn keeps it, as a sequence keeps its slot."""
    held = Counter() if held is None else held
    taken = []
    while (owner := queue.next_owner(held)) is not None:
        following = queue.peek(owner)
        taken.append(queue.pop(owner))
        assert taken[-1] == following
        held[owner] += 1
    return taken


def test_an_empty_queue_is_nobodys_turn() -> None:
    queue = filled()
    assert queue.next_owner({}) is None
    assert (len(queue), queue.waiting("a")) == (0, 0)


def test_one_owner_is_served_in_order_of_arrival() -> None:
    assert emptied(filled("a1", "a2", "a3")) == ["a1", "a2", "a3"]


def test_owners_take_turns_however_many_wait_for_one() -> None:
    assert emptied(filled("a1", "a2", "a3", "b1", "c1")) == ["a1", "b1", "c1", "a2", "a3"]


def test_who_holds_least_comes_before_who_waits_longest() -> None:
    assert emptied(filled("a1", "b1"), Counter(a=2, b=1)) == ["b1", "a1"]
    assert emptied(filled("a1", "b1"), Counter(a=1, b=1)) == ["a1", "b1"]


def test_who_is_put_back_is_first_again() -> None:
    queue = filled("a1", "b1", "b2")
    assert queue.pop("a") == "a1"
    queue.put_back("a", "a1")
    queue.put_back("b", "b0")
    assert emptied(queue) == ["b0", "a1", "b1", "b2"]


def test_who_returns_to_the_line_is_first_of_his_own_and_has_no_claim_on_the_next_turn() -> None:
    queue = filled("a2", "b1")
    queue.return_to_line("a", "a1")
    queue.return_to_line("c", "c1")
    assert emptied(queue) == ["a1", "b1", "c1", "a2"]
    queue.put("b", "b1")
    queue.return_to_line("a", "a1")
    assert emptied(queue) == ["b1", "a1"]


def test_who_leaves_is_gone_and_an_owner_without_items_has_no_turn() -> None:
    queue = filled("a1", "a2", "b1")
    queue.remove("a", "a1")
    assert queue.waiting("a") == 1
    queue.remove("a", "a2")
    assert (queue.waiting("a"), len(queue)) == (0, 1)
    assert emptied(queue) == ["b1"]


def test_what_does_not_wait_cannot_be_taken() -> None:
    queue = filled("a1")
    with pytest.raises(KeyError):
        queue.pop("b")
    with pytest.raises(ValueError, match="not in deque"):
        queue.remove("a", "a2")
    assert emptied(queue) == ["a1"]


@given(st.lists(st.sampled_from(OWNERS), max_size=30))
def test_nobody_is_ever_two_turns_ahead_of_who_still_waits(arrivals: list[str]) -> None:
    queue: FairQueue[int] = FairQueue()
    lines: dict[str, deque[int]] = {owner: deque() for owner in OWNERS}
    for number, owner in enumerate(arrivals):
        queue.put(owner, number)
        lines[owner].append(number)
    held: Counter[str] = Counter()
    while (following := queue.next_owner(held)) is not None:
        assert queue.pop(following) == lines[following].popleft()
        held[following] += 1
        assert all(held[following] - held[other] <= 1 for other, line in lines.items() if line)
        assert len(queue) == sum(map(len, lines.values()))
    assert not any(lines.values())


class SlotTableMachine(RuleBasedStateMachine):
    """Slots taken, filled and given back in any order, against a plain dictionary."""

    slots = Bundle("slots")
    CELLS, SLOTS = 40, 4

    def __init__(self) -> None:
        super().__init__()
        self.table = SlotTable(self.SLOTS, self.CELLS)
        self.held: dict[int, int] = {}
        self.uncleared: list[int] = []

    @precondition(lambda self: self.table.has_free_slot)
    @rule(target=slots)
    def take(self) -> int:
        slot = self.table.take()
        assert slot not in self.held
        self.held[slot] = 0
        return slot

    @rule(slot=slots, cells=st.integers(0, CELLS))
    def hold(self, slot: int, cells: int) -> None:
        cells = min(cells, self.held[slot] + self.table.cells_free)
        self.table.hold(slot, cells)
        self.held[slot] = cells

    @rule(slot=consumes(slots))
    def give_back(self, slot: int) -> None:
        self.table.give_back(slot)
        if self.held.pop(slot):
            self.uncleared.append(slot)

    @rule()
    def clear(self) -> None:
        assert list(self.table.to_clear()) == self.uncleared
        self.uncleared = []

    @invariant()
    def it_adds_up(self) -> None:
        self.table.check()
        assert self.table.slots_total == self.SLOTS
        assert self.table.slots_used == len(self.held)
        assert self.table.cells_used == sum(self.held.values()) == self.CELLS - self.table.cells_free
        assert self.table.has_free_slot == (len(self.held) < self.SLOTS)


def test_slots_and_cells_add_up_in_whatever_order_they_are_taken_and_given_back() -> None:
    run_state_machine_as_test(SlotTableMachine)


def test_more_cells_than_there_are_cannot_be_held() -> None:
    table = SlotTable(2, 10)
    table.hold(table.take(), 6)
    with pytest.raises(AssertionError, match="more cells held than there are"):
        table.hold(table.take(), 5)


def test_a_slot_that_is_free_and_used_at_once_is_noticed() -> None:
    table = SlotTable(2, 10)
    table._free.append(table.take())
    with pytest.raises(AssertionError, match="slots do not add up"):
        table.check()
