"""Pages that were asked for a moment ago, kept until something changes.

Another process on the same database changes it unheard: so a page is believed for a short time only.
"""

from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import Final, Generic, TypeVar

from bodhi_asgi.clock import Clock

T = TypeVar("T")

BELIEVED_S: Final = 2.0
MAX_PAGES: Final = 128


class Queries(Generic[T]):
    """Values that nobody changes, by the question they answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._answers: OrderedDict[Hashable, tuple[float, T]] = OrderedDict()
        self._generation = 0

    def invalidate(self) -> None:
        """Forget everything, also what is just being asked."""
        self._generation += 1
        self._answers.clear()

    async def answer(self, question: Hashable, ask: Callable[[], Awaitable[T]]) -> T:
        """What is kept, or what ``ask`` brings."""
        found = self._answers.get(question)
        if found is not None and self._clock.monotonic() < found[0]:
            return found[1]
        generation = self._generation
        value = await ask()
        if generation == self._generation:
            self._answers[question] = (self._clock.monotonic() + BELIEVED_S, value)
            self._answers.move_to_end(question)
            while len(self._answers) > MAX_PAGES:
                self._answers.popitem(last=False)
        return value
