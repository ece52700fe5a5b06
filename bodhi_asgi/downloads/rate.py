"""How fast bytes arrive, over the last seconds: quick to follow a change and calm enough to be read."""

from collections import deque
from typing import Final

WINDOW_S: Final = 5.0


class Rate:
    """Bytes per second. Times are of any clock that never goes backwards."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, int]] = deque()

    def mark(self, at_s: float, bytes_: int) -> None:
        """So many bytes are here. Fewer than before means that counting begins anew."""
        if self._marks and bytes_ < self._marks[-1][1]:
            self._marks.clear()
        self._marks.append((at_s, bytes_))
        while len(self._marks) > 2 and self._marks[1][0] <= at_s - WINDOW_S:
            self._marks.popleft()

    def per_second(self, at_s: float) -> int:
        """Over the window that ends at ``at_s``; 0 before there are two marks, and when nothing has come for long."""
        if len(self._marks) < 2:
            return 0
        (begin_s, begin), (end_s, end) = self._marks[0], self._marks[-1]
        if at_s - end_s > WINDOW_S or at_s <= begin_s:
            return 0
        return int((end - begin) / (at_s - begin_s))
