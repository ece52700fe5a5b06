"""Runs migrations: each in one transaction with its record, under a lock, so that several starts at once run it once.

A migration is a function on alembic's ``Operations``. Alembic is imported only when there is something to run.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from sqlalchemy import Column, Connection, DateTime, Integer, MetaData, String, Table, insert, inspect, select, text

from bodhi_asgi.db.errors import DatabaseOutdated
from bodhi_asgi.db.migrations import (
    m0001_first_tables,
    m0002_jobs,
    m0003_aliases,
    m0004_model_files,
    m0005_downloads,
    m0006_places,
)
from bodhi_asgi.db.transaction import Dialect, Transaction

if TYPE_CHECKING:
    from alembic.operations import Operations

Reading: TypeAlias = Callable[[], AbstractAsyncContextManager[Transaction]]
"""Opens a transaction that reads."""

LOCK: Final = 0x626F646869
"""The number of our advisory lock in PostgreSQL: "bodhi" in ASCII."""

RECORDS: Final = Table(
    "bodhi_migrations",
    MetaData(),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("name", String(200), nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False),
)


@dataclass(frozen=True, slots=True)
class Migration:
    """A step: its number, a name to show, and what it does."""

    number: int
    name: str
    upgrade: "Callable[[Operations], None]"


@dataclass(frozen=True, slots=True)
class MigrationStatus:
    """A step and when it was run, if it was."""

    number: int
    name: str
    applied_at: datetime | None


MIGRATIONS: Final = (
    Migration(1, "first tables", m0001_first_tables.upgrade),
    Migration(2, "jobs", m0002_jobs.upgrade),
    Migration(3, "aliases", m0003_aliases.upgrade),
    Migration(4, "model files", m0004_model_files.upgrade),
    Migration(5, "downloads", m0005_downloads.upgrade),
    Migration(6, "places", m0006_places.upgrade),
)


Step: TypeAlias = Callable[[Connection], None]
"""What is done in a transaction of its own."""


class Migrations:
    """The migrations of one database.

    ``run`` hands each of some functions a synchronous connection inside a locked transaction of its own.
    """

    def __init__(self, run: Callable[[Sequence[Step]], Awaitable[None]]) -> None:
        self._run = run

    @classmethod
    def for_sqlite(cls, name: str) -> "Migrations":
        """``name`` as sqlite3 takes it: a path, or a ``file:`` URI."""

        async def run(steps: Sequence[Step]) -> None:
            await asyncio.to_thread(_run_on_sqlite, name, steps)

        return cls(run)

    @classmethod
    def for_postgresql(cls, url: str, schema_name: str | None) -> "Migrations":
        async def run(steps: Sequence[Step]) -> None:
            await _run_on_postgresql(url, schema_name, steps)

        return cls(run)

    async def status(self, reading: Reading) -> list[MigrationStatus]:
        """Every migration, in order."""
        applied = await self._applied(reading)
        return [MigrationStatus(step.number, step.name, applied.get(step.number)) for step in MIGRATIONS]

    async def apply(self, reading: Reading, mode: Literal["auto", "check", "manual"]) -> None:
        """Run what is missing (``auto``), refuse when something is (``check``), or do nothing (``manual``)."""
        if mode == "manual":
            return
        missing = [row for row in await self.status(reading) if row.applied_at is None]
        if missing and mode == "check":
            names = ", ".join(f"{row.number:04} {row.name}" for row in missing)
            raise DatabaseOutdated(
                f"the database lacks migrations ({names}); run 'bodhi db upgrade'", param="migrations"
            )
        if missing:
            await self._run([partial(_upgrade, step) for step in MIGRATIONS])

    async def _applied(self, reading: Reading) -> dict[int, datetime]:
        async with reading() as transaction:
            catalogue = _catalogue(transaction.dialect)
            if await transaction.fetch_one(catalogue) is None:
                return {}
            rows = await transaction.fetch_all(select(RECORDS))
        return {row.number: row.applied_at for row in rows}


def _catalogue(dialect: Dialect) -> Any:
    """A query for the table of records; no row when there is none."""
    if dialect == "sqlite":
        return select(text("name")).select_from(text("sqlite_master")).where(text(f"name = '{RECORDS.name}'"))
    return select(text("1")).where(text(f"to_regclass('{RECORDS.name}') IS NOT NULL"))


def _upgrade(step: Migration, connection: Connection) -> None:
    """Run one step and record it, unless somebody else has meanwhile."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    if not inspect(connection).has_table(RECORDS.name):
        RECORDS.create(connection)
    if connection.execute(select(RECORDS.c.number).where(RECORDS.c.number == step.number)).first():
        return
    step.upgrade(Operations(MigrationContext.configure(connection)))
    connection.execute(insert(RECORDS).values(number=step.number, name=step.name, applied_at=datetime.now(UTC)))


def _run_on_sqlite(name: str, steps: Sequence[Step]) -> None:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(name, isolation_level=None, uri=name.startswith("file:"), timeout=60)

    engine = create_engine("sqlite://", creator=connect, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            for step in steps:
                # Schema changes are transactional in SQLite only when the transaction is begun by hand.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                try:
                    step(connection)
                except BaseException:
                    connection.exec_driver_sql("ROLLBACK")
                    raise
                connection.exec_driver_sql("COMMIT")
    finally:
        engine.dispose()


async def _run_on_postgresql(url: str, schema_name: str | None, steps: Sequence[Step]) -> None:
    from sqlalchemy.ext.asyncio import create_async_engine
    from sqlalchemy.pool import NullPool

    driver_url = url.replace("postgresql://", "postgresql+asyncpg://", 1)
    settings = {"server_settings": {"search_path": schema_name}} if schema_name else {}
    engine = create_async_engine(driver_url, poolclass=NullPool, connect_args=settings)
    try:
        async with engine.connect() as connection:
            for step in steps:
                async with connection.begin():
                    await connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK})"))
                    if schema_name:
                        await connection.execute(text(f'CREATE SCHEMA IF NOT EXISTS "{schema_name}"'))
                    await connection.run_sync(step)
    finally:
        await engine.dispose()


def numbers() -> Iterator[int]:
    """The numbers of all migrations, in order."""
    return (step.number for step in MIGRATIONS)
