"""A transaction on its connection, from the beginning to the end, whoever is cancelled meanwhile.

The package underneath loses a connection when one is cancelled, or fails, in the middle of BEGIN, COMMIT or ROLLBACK;
of SQLite's only writer that would be the end of all writing.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Span:
    """Holds a connection of ``databases`` between :meth:`begin` and :meth:`end`, and returns it in every case."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._inner = connection._connection.transaction()
        self.is_committed = False
        """Whether what was done is there for all to see, also when whoever did it was cancelled meanwhile."""

    async def begin(self) -> None:
        """Take the connection and begin. Cancelled while it waits for a connection, it has taken none."""
        await self._connection.__aenter__()
        await _to_its_end(self._start(), otherwise=lambda: self.end("rollback"))

    async def end(self, how: str) -> None:
        """``commit`` or ``rollback``, and give the connection back."""
        await _to_its_end(self._stop(how))

    async def _start(self) -> None:
        try:
            await self._inner.start(is_root=True, extra_options={})
        except BaseException:
            await self._connection.__aexit__()
            raise

    async def _stop(self, how: str) -> None:
        try:
            await getattr(self._inner, how)()
            self.is_committed = how == "commit"
        finally:
            await self._connection.__aexit__()


async def _to_its_end(
    work: Coroutine[Any, Any, None], *, otherwise: Callable[[], Coroutine[Any, Any, None]] | None = None
) -> None:
    """Do ``work`` to its end. When we are cancelled meanwhile, do ``otherwise`` after it, and be cancelled then."""
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:  # said below, by the task itself
            break
    if cancelled is None:
        return task.result()
    if task.exception() is None and otherwise is not None:
        await otherwise()
    raise cancelled
