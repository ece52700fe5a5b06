"""Who is next: in turn between owners who hold equally much; within one by rank, and then in order of arrival."""

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Waiting items by owner."""

    def __init__(self, rank: Callable[[T], int] = lambda _: 0) -> None:
        # The order of the owners is the order of their turns.
        self._lines: dict[str, deque[T]] = {}
        self._rank = rank

    def __bool__(self) -> bool:
        return bool(self._lines)

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def put(self, owner: str, item: T) -> None:
        """Stand in line, before those of the same owner whose rank is higher."""
        line = self._lines.setdefault(owner, deque())
        rank, place = self._rank(item), len(line)
        while place and self._rank(line[place - 1]) > rank:
            place -= 1
        line.insert(place, item)

    def put_back(self, owner: str, item: T) -> None:
        """Return to the head of the line and of the turns."""
        line = self._lines.pop(owner, None) or deque()
        line.appendleft(item)
        self._lines = {owner: line, **self._lines}

    def return_to_line(self, owner: str, item: T) -> None:
        """Return to the head of the line, without a claim on the next turn."""
        self._lines.setdefault(owner, deque()).appendleft(item)

    def waiting(self, owner: str) -> int:
        """How many of one owner wait."""
        return len(self._lines.get(owner, ()))

    @property
    def owners(self) -> Iterable[str]:
        """Who waits."""
        return self._lines.keys()

    def next_owner(self, held: Mapping[str, int]) -> str | None:
        """Whose turn it is: of those who wait and hold least, the one who has waited longest for a turn."""
        return min(self._lines, key=lambda owner: held.get(owner, 0), default=None)

    def peek(self, owner: str) -> T:
        """The owner's next, still in line."""
        return self._lines[owner][0]

    def pop(self, owner: str) -> T:
        """Take the owner's next; what follows it waits for its turn behind the other owners."""
        line = self._lines.pop(owner)
        item = line.popleft()
        if line:
            self._lines[owner] = line
        return item

    def remove(self, owner: str, item: T) -> None:
        """Leave the line."""
        line = self._lines[owner]
        line.remove(item)
        if not line:
            del self._lines[owner]

    def items(self) -> list[T]:
        """Everybody, without an order that means anything."""
        return [item for line in self._lines.values() for item in line]
