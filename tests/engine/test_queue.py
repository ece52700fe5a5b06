"""The queue: turns between owners, order within one, and what comes back."""

from collections import Counter, deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.engine.queue import FairQueue

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


def test_the_lowest_rank_of_one_owner_goes_first_and_equals_in_order_of_arrival() -> None:
    queue: FairQueue[str] = FairQueue(lambda item: int(item[2:] or 0))
    for arrival in ("a1", "a2+1", "a3-1", "b1+9", "a4-1", "a5", "b2"):
        queue.put(arrival[0], arrival)
    assert emptied(queue) == ["a3-1", "b2", "a4-1", "b1+9", "a1", "a5", "a2+1"]


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
