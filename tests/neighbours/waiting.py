"""Who waits for whom in PostgreSQL: a row held until others stand before it, so that they meet where it matters."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy import Table, func, select, text

from bodhi_asgi.db.database import Database


@asynccontextmanager
async def held(url: str, table: Table, condition: Any) -> AsyncIterator["Waiting"]:
    """The row is ours until the end of the block, or of :meth:`Waiting.until`."""
    holder, watcher = Database(url, timeout_s=60), Database(url, timeout_s=60)
    await holder.open()
    await watcher.open()
    waiting = Waiting(watcher)
    has_it = asyncio.Event()

    async def hold() -> None:
        async with holder.transaction() as tx:
            assert await tx.fetch_one(select(table).where(condition).with_for_update()) is not None
            has_it.set()
            await waiting.may_go.wait()

    try:
        async with asyncio.timeout(90), asyncio.TaskGroup() as tasks:
            tasks.create_task(hold())
            await has_it.wait()
            try:
                yield waiting
            finally:
                waiting.may_go.set()
    finally:
        await holder.close()
        await watcher.close()


class Waiting:
    """Those that cannot go on in a database because somebody else is before them."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.may_go = asyncio.Event()

    async def until(self, number: int, *or_done: "asyncio.Task[Any]", release: bool = True) -> None:
        """Let the row go, unless told otherwise, when so many wait or when one of these has come to its end."""
        query = select(func.count().label("n")).select_from(text("pg_stat_activity"))
        query = query.where(text("datname = current_database()"), text("wait_event_type = 'Lock'"))
        while not any(task.done() for task in or_done):
            async with self._database.reading() as tx:
                row = await tx.fetch_one(query)
            if row is not None and row.n >= number:
                break
            await asyncio.sleep(0.01)
        if release:
            self.may_go.set()
