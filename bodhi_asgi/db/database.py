"""The one contract through which everybody reaches the database, and the only user of ``databases``.

It takes SQLAlchemy Core constructs and nothing else, inside a transaction and nowhere else, and shuts out what the
package underneath would do silently: python-side defaults that are not applied, row counts that are not counted, nested
and cross-task transactions, iteration that holds a lock, text that one of the two databases cannot hold.
"""

import asyncio
import sqlite3
import uuid
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

from databases import Database as Driver
from sqlalchemy import Delete, Insert, Table, Update, func, insert, literal_column, select
from sqlalchemy.sql import ClauseElement

from bodhi_asgi.db.errors import ConstraintViolated, DatabaseUnavailable, TextInvalid
from bodhi_asgi.db.migrations.runner import Migrations, MigrationStatus
from bodhi_asgi.db.sqlite import SCHEME

MEMORY_FORMS: Final = frozenset({"sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:memory:"})
CLOSE_S: Final = 5.0
SQLITE_URL: Final = f"{SCHEME}://"

Dialect: TypeAlias = Literal["sqlite", "postgresql"]

_current: ContextVar["Transaction | None"] = ContextVar("bodhi_transaction", default=None)


class Row:
    """A row: ``row.column`` and ``row["column"]`` give values as the column's type says, on both databases.

    Moments are in UTC. (The rows of ``databases`` are sequences, where a column named ``count`` is a method, and their
    mappings leave JSON undecoded on PostgreSQL.)
    """

    __slots__ = ("_record",)

    def __init__(self, record: Any) -> None:
        self._record = record

    def __getattr__(self, name: str) -> Any:
        return self[name]

    def __getitem__(self, name: str) -> Any:
        value = self._record[name]
        if isinstance(value, datetime) and value.tzinfo is None:
            return value.replace(tzinfo=UTC)
        return value


class Transaction:
    """What can be done inside a transaction. It belongs to the task that opened it."""

    def __init__(self, connection: Any, dialect: Dialect, *, may_write: bool) -> None:
        self._connection = connection
        self._dialect = dialect
        self._task = asyncio.current_task()
        self._may_write = may_write
        self._after_commit: list[Callable[[], object]] = []
        self._is_over = False

    async def fetch_all(self, query: ClauseElement) -> list[Row]:
        return [Row(record) for record in await self._ask(self._connection.fetch_all, query)]

    async def fetch_one(self, query: ClauseElement) -> Row | None:
        record = await self._ask(self._connection.fetch_one, query)
        return None if record is None else Row(record)

    async def execute(self, query: ClauseElement) -> None:
        """Run a statement whose effect is not asked for; see :meth:`affected`."""
        await self._ask(self._connection.execute, query)

    async def affected(self, query: Update | Delete) -> int:
        """Run an update or delete and count its rows, by asking for them."""
        table = query.table
        assert isinstance(table, Table)
        return len(await self.fetch_all(query.returning(*table.primary_key.columns)))

    async def insert_many(self, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
        """Insert all rows in one statement."""
        if rows:
            await self.execute(insert(table).values([dict(row) for row in rows]))

    async def lock(self, number: int) -> None:
        """Let no other transaction that asks for the same number go on until this one is over."""
        # In SQLite a transaction that may write is the only one anyway.
        if self._dialect == "postgresql":
            await self.fetch_one(select(func.pg_advisory_xact_lock(number)))

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call this once everything is committed; not at all when it is rolled back."""
        self._after_commit.append(call)

    def committed(self) -> None:
        self._is_over = True
        for call in self._after_commit:
            call()

    def rolled_back(self) -> None:
        self._is_over = True

    async def _ask(self, run: Callable[[ClauseElement], Any], query: ClauseElement) -> Any:
        self._check(query)
        with _translated():
            return await run(query)

    def _check(self, query: ClauseElement) -> None:
        if self._is_over:
            raise RuntimeError("the transaction is over")
        if asyncio.current_task() is not self._task:
            raise RuntimeError("a transaction belongs to the task that opened it")
        if not isinstance(query, ClauseElement):
            raise TypeError("queries are SQLAlchemy constructs, never text")
        if isinstance(query, Insert | Update | Delete):
            if not self._may_write:
                raise RuntimeError("this transaction only reads")
            check_values(query)


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
            url = "postgresql://" + url.partition("://")[2]
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
        with _translated():
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
        with _translated():
            await self.migrations.apply(self, mode)

    async def migration_status(self) -> list[MigrationStatus]:
        """Every migration and when it was run."""
        with _translated():
            return await self.migrations.status(self)

    @asynccontextmanager
    async def _begin(self, driver: Driver, *, may_write: bool) -> AsyncIterator[Transaction]:
        if self._loop is not asyncio.get_running_loop():
            raise DatabaseUnavailable("the database is not open in this event loop")
        if _current.get() is not None:
            raise RuntimeError("transactions are not nested; pass the open one on")
        connection = driver.connection()
        with _translated():
            inner = connection.transaction()
            await inner.start()
        transaction = Transaction(connection, self.dialect, may_write=may_write)
        token = _current.set(transaction)
        try:
            yield transaction
        except BaseException:
            transaction.rolled_back()
            with _translated():
                await inner.rollback()
            raise
        else:
            with _translated():
                await inner.commit()
        finally:
            _current.reset(token)
        transaction.committed()


def check_values(query: Insert | Update | Delete) -> None:
    """Refuse what one of the databases would store wrongly without a word."""
    table = query.table
    if isinstance(query, Insert) and isinstance(table, Table):
        with_default = [column.name for column in table.columns if column.default is not None]
        if with_default:
            raise TypeError(f"{table.name}.{with_default[0]} has a default in Python, which would not be applied")
    for name, value in query.compile().params.items():
        if isinstance(value, str) and "\0" in value:
            raise TextInvalid(f"'{name}' has a NUL character, which is not accepted in text", param=name)


class _translated:  # noqa: N801  reads as a word in ``with _translated():``
    """The drivers' errors as our own; the URL and its password stay out of them."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.IntegrityError) or _is_asyncpg(error, "IntegrityConstraintViolationError"):
            raise ConstraintViolated("the database refuses the row: a constraint is violated") from error
        unreachable = isinstance(error, sqlite3.OperationalError | OSError | TimeoutError)
        if unreachable or _is_asyncpg(error, "PostgresConnectionError", "InterfaceError", "CannotConnectNowError",
                                      "InvalidAuthorizationSpecificationError", "InvalidCatalogNameError",
                                      "OperatorInterventionError", "TooManyConnectionsError"):  # fmt: skip
            reason = type(error).__name__ if not isinstance(error, sqlite3.Error) else str(error)
            raise DatabaseUnavailable(f"the database cannot be used: {reason}") from error


def _is_asyncpg(error: BaseException | None, *names: str) -> bool:
    return any(base.__name__ in names and base.__module__.startswith("asyncpg") for base in type(error).__mro__)


def _sqlite_path(url: str) -> str:
    return url.removeprefix("sqlite:///")
