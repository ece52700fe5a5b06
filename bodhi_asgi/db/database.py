"""The one contract through which everybody reaches the database, and the only user of ``databases``.

A transaction is the only place where anything is asked of it. What the package underneath would do silently is shut
out: nested and cross-task transactions, iteration that holds a lock; the rest in :mod:`bodhi_asgi.db.transaction`.
"""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final, Literal

from databases import Database as Driver
from sqlalchemy import literal_column, select

from bodhi_asgi.db.errors import DatabaseUnavailable
from bodhi_asgi.db.migrations.runner import Migrations, MigrationStatus
from bodhi_asgi.db.span import Span
from bodhi_asgi.db.sqlite import SCHEME
from bodhi_asgi.db.transaction import Dialect, Transaction, translated

MEMORY_FORMS: Final = frozenset({"sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:memory:"})
CLOSE_S: Final = 5.0
SQLITE_URL: Final = f"{SCHEME}://"

_current: ContextVar[Transaction | None] = ContextVar("bodhi_transaction", default=None)


class Database:
    """SQLite in a file or in memory, or PostgreSQL. Opened and used in one event loop.

    ``timeout_s`` bounds the wait for a connection or a lock. The URL's password appears in no error.
    """

    def __init__(self, url: str, *, pool_size: int = 5, timeout_s: float = 15, schema_name: str | None = None) -> None:
        self.dialect: Dialect = "sqlite" if url.startswith("sqlite") else "postgresql"
        self._timeout_s = timeout_s
        if self.dialect == "sqlite":
            is_memory = url in MEMORY_FORMS
            # A named shared memory: the migrations reach it through a connection of their own.
            name = f"file:bodhi-{uuid.uuid4().hex}?mode=memory&cache=shared" if is_memory else _sqlite_path(url)
            options: dict[str, Any] = {"database": name, "timeout_s": timeout_s, "is_memory": is_memory}
            self._writer = Driver(SQLITE_URL, size=1, is_reader=False, **options)
            # Readers of a shared memory would meet the writer's table locks, so there the writer reads too.
            self._reader = self._writer if is_memory else Driver(SQLITE_URL, size=pool_size, is_reader=True, **options)
            self.migrations = Migrations.for_sqlite(name)
        else:
            # The drivers have another word than PostgreSQL's own clients for how TLS is asked for.
            url = re.sub(r"([?&])sslmode=", r"\1ssl=", "postgresql://" + url.partition("://")[2])
            settings: dict[str, Any] = {"server_settings": {"search_path": schema_name}} if schema_name else {}
            self._writer = Driver(
                url, min_size=1, max_size=pool_size, timeout=timeout_s, command_timeout=timeout_s, **settings
            )
            self._reader = self._writer
            self.migrations = Migrations.for_postgresql(url, schema_name)
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Connect. Idempotent. Raises DatabaseUnavailable."""
        self._loop = asyncio.get_running_loop()
        with translated():
            for driver in (self._writer, self._reader):
                await asyncio.wait_for(driver.connect(), self._timeout_s)
        await self.ping()

    async def close(self) -> None:
        """Close every connection, within a few seconds whatever they do. Idempotent."""
        for driver in (self._writer, self._reader):
            try:
                await asyncio.wait_for(driver.disconnect(), CLOSE_S)
            except TimeoutError:
                # asyncpg's pool waits for transactions that nobody will end; end them.
                driver._backend._pool.terminate()
                driver.is_connected = False
        self._loop = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Read and write; committed at the end, rolled back on any error. Not nested."""
        async with self._begin(self._writer, may_write=True) as transaction:
            yield transaction

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Transaction]:
        """Read one state of the database."""
        async with self._begin(self._reader, may_write=False) as transaction:
            yield transaction

    async def ping(self) -> None:
        """Ask for one row. Raises DatabaseUnavailable."""
        async with self.reading() as transaction:
            await transaction.fetch_one(select(literal_column("1")))

    async def migrate(self, mode: Literal["auto", "check", "manual"]) -> None:
        """Bring the tables up to date, or check that they are. Raises DatabaseOutdated naming what is missing."""
        with translated():
            await self.migrations.apply(self.reading, mode)

    async def migration_status(self) -> list[MigrationStatus]:
        """Every migration and when it was run."""
        with translated():
            return await self.migrations.status(self.reading)

    @asynccontextmanager
    async def _begin(self, driver: Driver, *, may_write: bool) -> AsyncIterator[Transaction]:
        if self._loop is not asyncio.get_running_loop():
            raise DatabaseUnavailable("the database is not open in this event loop")
        if not driver.is_connected:
            raise DatabaseUnavailable("the database could not be reached yet")
        if _current.get() is not None:
            raise RuntimeError("transactions are not nested; pass the open one on")
        connection = driver.connection()
        span = Span(connection)
        with translated():
            await span.begin()
        transaction = Transaction(connection, self.dialect, may_write=may_write)
        token = _current.set(transaction)
        try:
            yield transaction
        except BaseException:
            transaction.rolled_back()
            with translated():
                await span.end("rollback")
            raise
        else:
            with translated():
                await span.end("commit")
        finally:
            _current.reset(token)
            if span.is_committed:
                transaction.committed()


def _sqlite_path(url: str) -> str:
    return url.removeprefix("sqlite:///")
