"""Which sequence ids begin with the tokens of a prompt: match → hold → insert → let go → check.

A radix tree over token ids for each key (an owner, an adapter), so that what one owner has cached answers no other's
request any sooner. It knows tokens and ids; whose cells those are is told by :mod:`bodhi_asgi.engine.slots`.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class PrefixCache(Protocol):
    """Finds beginnings again."""

    def match(self, key: Hashable, tokens: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Ids with the number of leading tokens they have in common with ``tokens``: most first, never none."""
        ...

    def insert(self, slot: int, key: Hashable, tokens: Sequence[int]) -> bool:
        """Remember what an id has, held. False when it is not remembered."""
        ...

    def hold(self, slot: int) -> None:
        """Keep an id from being evicted while it is in use."""
        ...

    def let_go(self, slot: int) -> None:
        """An id may be evicted again, after all others that may."""
        ...

    def remove(self, slot: int) -> None:
        """Forget an id. One that is not known is forgotten already."""
        ...

    def rename(self, slot: int, other: int) -> None:
        """What an id has, another has from now on, held."""
        ...

    @property
    def evictable(self) -> int | None:
        """The id that was let go first; None when all are held."""
        ...

    def check(self) -> None:
        """Raise AssertionError unless the tree, its ids and their order agree."""
        ...


class NoPrefix:
    """Remembers nothing."""

    def match(self, key: Hashable, tokens: Sequence[int]) -> Iterator[tuple[int, int]]:  # noqa: ARG002
        return iter(())

    def insert(self, slot: int, key: Hashable, tokens: Sequence[int]) -> bool:  # noqa: ARG002
        return False

    def hold(self, slot: int) -> None:
        """Nothing is ever evicted."""

    def let_go(self, slot: int) -> None:
        """Nothing is ever evicted."""

    def remove(self, slot: int) -> None:
        """Nothing was remembered."""

    def rename(self, slot: int, other: int) -> None:
        """Nothing was remembered."""

    @property
    def evictable(self) -> int | None:
        return None

    def check(self) -> None:
        """Nothing can be wrong."""


@dataclass(eq=False, slots=True)
class _Node:
    """The tokens of an edge, up to ``end`` tokens from the root; what follows by its first token; ids that end here."""

    tokens: tuple[int, ...] = ()
    end: int = 0
    above: "_Node | None" = None
    below: "dict[int, _Node]" = field(default_factory=dict)
    ids: set[int] = field(default_factory=set)

    def all_ids(self) -> Iterator[int]:
        """The ids that end here or below."""
        waiting = [self]
        while waiting:
            node = waiting.pop()
            yield from node.ids
            waiting += node.below.values()


class RadixPrefix:
    """The tree. ``insert`` and ``match`` cost as much as the tokens they walk along."""

    def __init__(self) -> None:
        self._roots: dict[Hashable, _Node] = {}
        self._entries: dict[int, tuple[Hashable, _Node]] = {}
        self._evictable: dict[int, None] = {}  # in the order in which they were let go

    def match(self, key: Hashable, tokens: Sequence[int]) -> Iterator[tuple[int, int]]:
        root = self._roots.get(key)
        followed: _Node | None = None
        for node, common in reversed(_walk(root, tuple(tokens)) if root is not None else []):
            if common:
                yield from ((slot, common) for slot in node.ids)
                for branch in node.below.values():
                    if branch is not followed:
                        yield from ((slot, common) for slot in branch.all_ids())
            followed = node

    def insert(self, slot: int, key: Hashable, tokens: Sequence[int]) -> bool:
        assert slot not in self._entries, "an id ends in one place only"
        wanted = tuple(tokens)
        node, common = _walk(self._roots.setdefault(key, _Node()), wanted)[-1]
        if common < node.end:
            node = _cut(node, common)
        if common < len(wanted):
            leaf = _Node(wanted[common:], len(wanted), node)
            node.below[wanted[common]] = node = leaf
        node.ids.add(slot)
        self._entries[slot] = (key, node)
        return True

    def hold(self, slot: int) -> None:
        self._evictable.pop(slot, None)

    def let_go(self, slot: int) -> None:
        if slot in self._entries:
            self._evictable.pop(slot, None)
            self._evictable[slot] = None

    def remove(self, slot: int) -> None:
        entry = self._entries.pop(slot, None)
        if entry is None:
            return
        self._evictable.pop(slot, None)
        key, node = entry
        node.ids.remove(slot)
        _tidy(node)
        root = self._roots[key]
        if not root.below and not root.ids:
            del self._roots[key]

    def rename(self, slot: int, other: int) -> None:
        assert other not in self._entries, "an id ends in one place only"
        self._evictable.pop(slot, None)
        _, node = self._entries[other] = self._entries.pop(slot)
        node.ids.remove(slot)
        node.ids.add(other)

    @property
    def evictable(self) -> int | None:
        return next(iter(self._evictable), None)

    def check(self) -> None:
        found: dict[int, tuple[Hashable, _Node]] = {}
        for key, root in self._roots.items():
            waiting = [root]
            while waiting:
                node = waiting.pop()
                found |= dict.fromkeys(node.ids, (key, node))
                for first, branch in node.below.items():
                    assert branch.above is node, "a branch that hangs elsewhere"
                    assert branch.tokens[:1] == (first,), "a branch under another token"
                    assert branch.end == node.end + len(branch.tokens), "an edge of another length"
                    assert branch.ids or len(branch.below) > 1, "a node that nobody needs"
                    waiting.append(branch)
        assert found == self._entries, "the tree and the ids do not agree"
        assert self._evictable.keys() <= self._entries.keys(), "an id that may be evicted and is not there"


def _walk(root: _Node, tokens: tuple[int, ...]) -> list[tuple[_Node, int]]:
    """The nodes along ``tokens``, each with how many tokens lead to it; the last one may be reached in part only."""
    node, at = root, 0
    path = [(node, at)]
    while at == node.end < len(tokens) and (branch := node.below.get(tokens[at])) is not None:
        at += _common(branch.tokens, tokens[at : at + len(branch.tokens)])
        path.append((branch, at))
        node = branch
    return path


def _common(left: tuple[int, ...], right: tuple[int, ...]) -> int:
    """How many leading tokens are the same, by halving: comparing slices is many times faster than a loop."""
    low, high = 0, min(len(left), len(right))
    if left[:high] == right[:high]:
        return high
    while low < high:
        middle = (low + high + 1) // 2
        if left[low:middle] == right[low:middle]:
            low = middle
        else:
            high = middle - 1
    return low


def _cut(node: _Node, end: int) -> _Node:
    """Cut an edge so that a node ends there: the new one above ``node``."""
    assert node.above is not None
    size = len(node.tokens) - (node.end - end)
    upper = _Node(node.tokens[:size], end, node.above, {node.tokens[size]: node})
    node.above.below[node.tokens[0]] = upper
    node.tokens, node.above = node.tokens[size:], upper
    return upper


def _tidy(node: _Node) -> None:
    """Take away what ends nowhere: a leaf without ids, and a node without ids that only one branch follows."""
    while node.above is not None and not node.ids and not node.below:
        del node.above.below[node.tokens[0]]
        node = node.above
    if node.above is not None and not node.ids and len(node.below) == 1:
        (only,) = node.below.values()
        only.tokens, only.above = node.tokens + only.tokens, node.above
        node.above.below[only.tokens[0]] = only
