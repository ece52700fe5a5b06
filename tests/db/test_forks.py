"""SQLite around a fork: nothing is under way and nothing open, or the child is told; either way the parent goes on."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import literal_column, select

from bodhi_asgi.db import sqlite
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import DatabaseInherited
from bodhi_asgi.db.sqlite import Pool


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "test.db"


@pytest.fixture
async def database(file: Path) -> AsyncIterator[Database]:
    database = Database(f"sqlite:///{file}", timeout_s=5)
    await database.open()
    yield database
    await database.close()


def pools(database: Database) -> list[Pool]:
    return [driver._backend._pool for driver in (database._writer, database._reader)]  # type: ignore[attr-defined]


def is_open(file: Path) -> bool:
    """Whether this process has it open."""
    return any(os.path.realpath(number) == str(file) for number in Path("/proc/self/fd").iterdir())


async def use(database: Database) -> None:
    """Every connection there may be, one after the other."""
    for way in (database.transaction, *[database.reading] * 5):
        async with asyncio.timeout(30), way() as tx:
            await tx.fetch_one(select(literal_column("1")))


def rest(database: Database) -> None:
    for pool in pools(database):
        pool.before_fork()


def wake(database: Database) -> None:
    for pool in pools(database):
        pool.after_fork()


async def test_a_fork_waits_for_what_is_under_way_and_finds_no_file_open(database: Database, file: Path) -> None:
    async with database.transaction() as tx:
        await tx.fetch_one(select(literal_column("1")))
        resting = asyncio.create_task(asyncio.to_thread(rest, database))
        await asyncio.sleep(0)
        assert is_open(file)
    await resting
    assert not is_open(file)
    waiting = asyncio.create_task(use(database))
    await asyncio.sleep(0)
    assert not waiting.done()
    wake(database)
    await waiting
    assert is_open(file)


async def test_a_transaction_that_lasts_holds_a_fork_for_a_while_only_and_goes_on(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "REST_S", 0.05)
    async with database.transaction() as tx:
        await asyncio.to_thread(rest, database)
        assert is_open(file)
        wake(database)
        await tx.fetch_one(select(literal_column("1")))
    await use(database)


async def test_a_child_that_inherits_an_open_file_is_refused_it(
    database: Database, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite, "INHERITED", set())
    for pool in pools(database):
        pool.before_fork()  # in the thread of the loop, which cannot wait for itself
    assert is_open(file)
    for pool in pools(database):
        pool.forget()
    other = Database(f"sqlite:///{file}", timeout_s=5)
    with pytest.raises(DatabaseInherited, match="PostgreSQL"):
        await other.open()
    await other.close()
