"""What can be done inside a transaction, and the only errors that leave it.

It takes SQLAlchemy Core constructs and nothing else, and shuts out what the package underneath would do silently:
python-side defaults that are not applied, row counts that are not counted, text that one of the databases cannot hold.
"""

import asyncio
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Literal, TypeAlias

from sqlalchemy import Delete, Insert, Table, Update, func, insert, select
from sqlalchemy.sql import ClauseElement

from bodhi_asgi.db.errors import ConstraintViolated, DatabaseUnavailable, TextInvalid

Dialect: TypeAlias = Literal["sqlite", "postgresql"]


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
        self.dialect = dialect
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
        if self.dialect == "postgresql":
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
        with translated():
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


class translated:  # noqa: N801  reads as a word in ``with translated():``
    """The drivers' errors as our own; the URL and its password stay out of them."""

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.IntegrityError) or _is_asyncpg(error, "IntegrityConstraintViolationError"):
            raise ConstraintViolated("the database refuses the row: a constraint is violated") from error
        if _is_asyncpg(error, "TransactionRollbackError"):
            raise DatabaseUnavailable("the database gave this transaction up for another one; try again") from error
        unreachable = isinstance(error, sqlite3.OperationalError | OSError | TimeoutError)
        if unreachable or _is_asyncpg(error, "PostgresConnectionError", "InterfaceError", "CannotConnectNowError",
                                      "InvalidAuthorizationSpecificationError", "InvalidCatalogNameError",
                                      "OperatorInterventionError", "TooManyConnectionsError"):  # fmt: skip
            reason = type(error).__name__ if not isinstance(error, sqlite3.Error) else str(error)
            raise DatabaseUnavailable(f"the database cannot be used: {reason}") from error


def _is_asyncpg(error: BaseException | None, *names: str) -> bool:
    return any(base.__name__ in names and base.__module__.startswith("asyncpg") for base in type(error).__mro__)
