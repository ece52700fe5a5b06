"""The radix tree finds what a plain search through everything would, and forgets in order."""

from collections.abc import Hashable

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from bodhi_asgi.engine.prefix import NoPrefix, PrefixCache, RadixPrefix

KEYS = ("ada", "bob")
TOKENS = st.lists(st.integers(0, 2), max_size=8)
SLOTS = st.integers(0, 9)


def in_common(left: list[int], right: list[int]) -> int:
    common = 0
    while common < min(len(left), len(right)) and left[common] == right[common]:
        common += 1
    return common


class AnyOrder(RuleBasedStateMachine):
    """The tree against a plain dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = RadixPrefix()
        self.known: dict[int, tuple[Hashable, list[int]]] = {}
        self.let_go_in_order: list[int] = []

    @rule(slot=SLOTS, key=st.sampled_from(KEYS), tokens=TOKENS)
    def insert(self, slot: int, key: str, tokens: list[int]) -> None:
        if slot not in self.known:
            assert self.tree.insert(slot, key, tokens)
            self.known[slot] = (key, tokens)

    @rule(slot=SLOTS)
    def remove(self, slot: int) -> None:
        self.tree.remove(slot)
        self.known.pop(slot, None)
        self.forget_order_of(slot)

    @rule(slot=SLOTS)
    def hold(self, slot: int) -> None:
        self.tree.hold(slot)
        self.forget_order_of(slot)

    @rule(slot=SLOTS)
    def let_go(self, slot: int) -> None:
        self.tree.let_go(slot)
        self.forget_order_of(slot)
        if slot in self.known:
            self.let_go_in_order.append(slot)

    @rule()
    def evict(self) -> None:
        expected = self.let_go_in_order.pop(0) if self.let_go_in_order else None
        assert self.tree.evictable == expected
        if expected is not None:
            self.tree.remove(expected)
            del self.known[expected]

    @rule(slot=SLOTS, other=SLOTS)
    def rename(self, slot: int, other: int) -> None:
        if slot in self.known and other not in self.known:
            self.tree.rename(slot, other)
            self.known[other] = self.known.pop(slot)
            self.forget_order_of(slot)

    @rule(key=st.sampled_from((*KEYS, "cyd")), tokens=TOKENS)
    def match(self, key: str, tokens: list[int]) -> None:
        found = list(self.tree.match(key, tokens))
        expected = {slot: in_common(its, tokens) for slot, (whose, its) in self.known.items() if whose == key}
        assert dict(found) == {slot: common for slot, common in expected.items() if common}
        assert [common for _, common in found] == sorted((common for _, common in found), reverse=True)
        assert len(dict(found)) == len(found)

    @invariant()
    def it_is_in_order(self) -> None:
        self.tree.check()
        if not self.known:
            assert self.tree._roots == {}

    def forget_order_of(self, slot: int) -> None:
        if slot in self.let_go_in_order:
            self.let_go_in_order.remove(slot)


def test_the_tree_finds_what_a_plain_search_finds_and_forgets_in_order() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=200, stateful_step_count=40))


def test_what_one_owner_has_cached_is_not_found_by_another() -> None:
    tree = RadixPrefix()
    tree.insert(1, "ada", [1, 2, 3])
    assert list(tree.match("ada", [1, 2, 4])) == [(1, 2)]
    assert list(tree.match("bob", [1, 2, 4])) == []


def test_a_tree_that_contradicts_itself_is_noticed() -> None:
    tree = RadixPrefix()
    tree.insert(1, "ada", [1, 2, 3])
    del tree._entries[1]
    with pytest.raises(AssertionError, match="do not agree"):
        tree.check()


def test_a_cache_that_is_switched_off_knows_nothing() -> None:
    cache: PrefixCache = NoPrefix()
    assert not cache.insert(1, "ada", [1, 2, 3])
    cache.hold(1)
    cache.let_go(1)
    assert list(cache.match("ada", [1, 2, 3])) == []
    cache.remove(1)
    cache.rename(1, 2)
    assert cache.evictable is None
    cache.check()
