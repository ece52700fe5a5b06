"""Who is next: in turn between owners, in order of arrival within one."""

from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class FairQueue(Generic[T]):
    """Waiting items by owner."""

    def __init__(self) -> None:
        # The order of the owners is the order of their turns.
        self._lines: dict[str, deque[T]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def put(self, owner: str, item: T) -> None:
        """Stand in line."""
        self._lines.setdefault(owner, deque()).append(item)

    def put_back(self, owner: str, item: T) -> None:
        """Return to the head of the line and of the turns."""
        line = self._lines.pop(owner, None) or deque()
        line.appendleft(item)
        self._lines = {owner: line, **self._lines}

    def peek(self) -> T | None:
        """Who is next, still in line."""
        for line in self._lines.values():
            return line[0]
        return None

    def pop(self) -> T:
        """Take who is next; the owner's next item waits for its turn behind the other owners."""
        owner, line = next(iter(self._lines.items()))
        item = line.popleft()
        del self._lines[owner]
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
