"""The cache in this process: aiocache's memory back end with a bound, and computations that are shared."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from aiocache.backends.memory import SimpleMemoryCache

from bodhi_asgi.cache.flights import Flights
from bodhi_asgi.cache.types import MISSING, Missing
from bodhi_asgi.clock import Clock

T = TypeVar("T")

IMMUTABLE: Final = (str, int, float, bool, bytes, type(None))
"""What needs no copy to be safe; a subclass may be anything, so the type is compared exactly."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A value and when it is believed no more. aiocache takes a bare None for absence; an entry is never None."""

    expires_at: float
    value: Any


class BoundedMemory(SimpleMemoryCache):  # type: ignore[misc]
    """The back end, keeping at most ``max_entries``, the least recently used of which goes first.

    aiocache's own has no bound and starts a timer for every entry. Here a clock says what has expired, when it is asked
    for. Only the four operations that :class:`MemoryCache` uses are served.
    """

    def __init__(self, *, max_entries: int, ttl_s: float, clock: Clock) -> None:
        super().__init__(timeout=None, ttl=ttl_s)
        self._max_entries = max_entries
        self._clock = clock
        self._entries: OrderedDict[str, Entry] = OrderedDict()

    async def _get(self, key: str, encoding: str = "utf-8", _conn: Any = None) -> Entry | None:  # noqa: ARG002
        entry = self._entries.get(key)
        if entry is not None and entry.expires_at <= self._clock.monotonic():
            del self._entries[key]
            return None
        if entry is not None:
            self._entries.move_to_end(key)
        return entry

    async def _set(self, key: str, value: Any, ttl: float, _cas_token: Any = None, _conn: Any = None) -> bool:
        self._entries[key] = Entry(self._clock.monotonic() + ttl, value)
        self._entries.move_to_end(key)
        while len(self._entries) > self._max_entries:
            self._entries.popitem(last=False)
        return True

    async def _delete(self, key: str, _conn: Any = None) -> int:
        return 0 if self._entries.pop(key, None) is None else 1

    async def _clear(self, namespace: str | None = None, _conn: Any = None) -> bool:  # noqa: ARG002
        self._entries.clear()
        return True


class MemoryCache:
    """A :class:`~bodhi_asgi.cache.types.Cache` in memory, used from one event loop.

    ``max_entries`` bounds what is kept, ``ttl_s`` is how many seconds a value is believed unless it says otherwise.
    """

    def __init__(self, *, max_entries: int, ttl_s: float, clock: Clock) -> None:
        if max_entries < 1 or ttl_s <= 0:
            raise ValueError(f"a cache has room for an entry and a time over 0: {max_entries}, {ttl_s}")
        self._memory = BoundedMemory(max_entries=max_entries, ttl_s=ttl_s, clock=clock)
        self._ttl_s = ttl_s
        self._flights = Flights()

    async def get(self, key: str) -> Any:
        """The value, or MISSING. With ``AIOCACHE_DISABLE=1`` in the environment nothing is ever found."""
        entry = await self._memory.get(key)
        return MISSING if entry is None else _copy(entry.value)

    async def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Keep a copy of ``value``. Raises ValueError unless ``ttl_s`` is over 0."""
        self._flights.forget(key)
        await self._keep(key, value, ttl_s)

    async def delete(self, key: str) -> None:
        """Forget the value of ``key``."""
        self._flights.forget(key)
        await self._memory.delete(key)

    async def clear(self) -> None:
        """Forget everything."""
        self._flights.forget_all()
        await self._memory.clear()

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[T]], *, ttl_s: float | None = None) -> T:
        """The value, computed once for all who ask meanwhile; ``compute`` runs in a task and context of its own."""
        found: T | Missing = await self.get(key)
        if not isinstance(found, Missing):
            return found

        async def keep(value: T) -> None:
            await self._keep(key, value, ttl_s)

        value: T = await self._flights.join(key, compute, keep)
        return _copy(value)

    async def _keep(self, key: str, value: Any, ttl_s: float | None) -> None:
        if ttl_s is not None and ttl_s <= 0:
            raise ValueError(f"a value is kept for a time over 0: {ttl_s}")
        await self._memory.set(key, _copy(value), ttl=self._ttl_s if ttl_s is None else ttl_s)


def _copy(value: T) -> T:
    return value if type(value) in IMMUTABLE else deepcopy(value)
