"""The contract of a cache. Services know this and nothing of where the values are kept."""

from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeVar, final

T = TypeVar("T")


@final
class Missing:
    """The type of :data:`MISSING`, which says "not kept" where ``None`` is a value like any other."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False


MISSING: Final = Missing()


class Cache(Protocol):
    """Values by key, for a while. What comes out is a copy of what went in: to change it changes nothing here.

    Keys may be logged, so no secret belongs in one. ``ttl_s`` is in seconds and over 0; None takes the cache's own.
    """

    async def get(self, key: str) -> Any:
        """The value, or :data:`MISSING`."""
        ...

    async def set(self, key: str, value: Any, *, ttl_s: float | None = None) -> None:
        """Keep ``value``."""
        ...

    async def delete(self, key: str) -> None:
        """Forget the value, also one that is being computed: who asks from now on gets a new one."""
        ...

    async def clear(self) -> None:
        """Forget everything, as :meth:`delete` does."""
        ...

    async def get_or_compute(self, key: str, compute: Callable[[], Awaitable[T]], *, ttl_s: float | None = None) -> T:
        """The value, computed once for all who ask meanwhile. An error is raised to all of them, and not kept."""
        ...
