"""The memory that engines in threads of one process share: who is idle makes room, longest idle first."""

import asyncio
from typing import Protocol

from bodhi_asgi.engine.budget import Shortage, default_budget, least_recently_used, needed_bytes
from bodhi_asgi.engine.types import ModelSpec, UnloadReason


class Tenant(Protocol):
    """An engine that takes memory here."""

    spec: ModelSpec

    @property
    def idle_s(self) -> float:
        """How long it has had no work."""
        ...

    @property
    def may_leave(self) -> bool:
        """Whether it can be unloaded to make room for another."""
        ...

    async def unload(self, reason: UnloadReason) -> None:
        """Give the memory back, whatever is at work."""
        ...


class ThreadRoom:
    """Used in one event loop. The same rules as between processes, see :mod:`bodhi_asgi.engine.process.room`."""

    def __init__(self) -> None:
        self._reserved: dict[Tenant, int] = {}
        self._one_at_a_time = asyncio.Lock()

    def reserved_bytes(self, tenant: Tenant) -> int:
        """What ``tenant`` has."""
        return self._reserved.get(tenant, 0)

    async def reserve(self, tenant: Tenant) -> None:
        """Memory for its model. Raises NoRoomForModel when those who have it are at work, and ModelLoadFailed."""
        needed = await asyncio.to_thread(needed_bytes, tenant.spec)
        async with self._one_at_a_time:
            # One after the other, and looked at anew before each: the next may have begun to work meanwhile.
            while (leaver := self._who_leaves(tenant, needed)) is not None:
                await leaver.unload("room")
            self._reserved[tenant] = needed

    def release(self, tenant: Tenant) -> None:
        """Its memory is free again."""
        self._reserved.pop(tenant, None)

    def _who_leaves(self, tenant: Tenant, needed: int) -> Tenant | None:
        """Who is next to make room for so many bytes; nobody once they fit. Raises as :meth:`reserve` does."""
        spec = tenant.spec
        others = {other: size for other, size in self._reserved.items() if other is not tenant and size}
        taken = tuple((other.spec.name, size) for other, size in others.items())
        shortage = Shortage(spec.name, needed, spec.memory_bytes or default_budget(), taken)
        if shortage.missing_bytes <= 0:
            return None
        going = least_recently_used(
            (other for other in others if other.may_leave),
            shortage.missing_bytes,
            idle_s=lambda other: other.idle_s,
            size_bytes=lambda other: others[other],
        )
        if not going:
            raise shortage.refusal()
        return going[0]
