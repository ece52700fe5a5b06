"""The contract, and every trap underneath that it shuts out, on each database."""

import asyncio
import gc
import sqlite3
from collections.abc import Callable, Iterable
from contextvars import Context
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiosqlite
import pytest
from sqlalchemy import Column, Integer, MetaData, String, Table, delete, func, insert, select, update
from sqlalchemy.schema import CreateTable

from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import ConstraintViolated, DatabaseUnavailable, TextInvalid
from bodhi_asgi.db.sqlite import Pool
from tests.db.conftest import PARTS, THINGS

MakeThing = Callable[..., dict[str, object]]


async def put(database: Database, **values: object) -> None:
    async with database.transaction() as tx:
        await tx.execute(insert(THINGS).values(**values))


async def count(database: Database) -> int:
    async with database.reading() as tx:
        row = await tx.fetch_one(select(func.count().label("n")).select_from(THINGS))
    return row.n


async def test_what_was_committed_is_read(database: Database, thing: MakeThing) -> None:
    at = datetime(2026, 5, 4, 3, 2, 1, tzinfo=UTC)
    await put(database, **thing(7, at=at, count=3))

    async with database.reading() as tx:
        row = await tx.fetch_one(select(THINGS).where(THINGS.c.id == 7))
        assert await tx.fetch_one(select(THINGS).where(THINGS.c.id == 8)) is None
    assert (row.id, row.name, row.count, row["name"]) == (7, "thing 7", 3, "thing 7")


@pytest.mark.parametrize("value", [{"a": [1, {"b": None}]}, [1, "two"], "text", 5, True, {}])
async def test_json_comes_back_as_it_went_in(database: Database, thing: MakeThing, value: object) -> None:
    await put(database, **thing(data=value))

    async with database.reading() as tx:
        row = await tx.fetch_one(select(THINGS))
        (same,) = await tx.fetch_all(select(THINGS))
    assert row.data == value == same.data


async def test_an_error_rolls_everything_back(database: Database, thing: MakeThing) -> None:
    with pytest.raises(ValueError, match="no"):
        async with database.transaction() as tx:
            await tx.execute(insert(THINGS).values(**thing()))
            raise ValueError("no")
    assert await count(database) == 0


async def test_a_cancelled_transaction_is_rolled_back_and_the_database_goes_on(
    database: Database, thing: MakeThing
) -> None:
    entered = asyncio.Event()

    async def hang() -> None:
        async with database.transaction() as tx:
            await tx.execute(insert(THINGS).values(**thing()))
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    async with asyncio.timeout(20):
        await entered.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await count(database) == 0
        await put(database, **thing())


@pytest.mark.parametrize("opening", ["transaction", "reading"])
async def test_a_transaction_cancelled_at_any_moment_gives_its_connection_back(
    database: Database, thing: MakeThing, opening: str
) -> None:
    async def use() -> None:
        async with getattr(database, opening)() as tx:
            await tx.fetch_all(select(THINGS))

    async with asyncio.timeout(60):
        for turns in range(40):
            task = asyncio.create_task(use())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait({task})
            # The threads and sockets beneath answer when they like: more moments than turns.
            await count(database)
        await put(database, **thing())
        assert await count(database) == 1


async def test_a_new_file_that_somebody_writes_in_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    other.execute("CREATE TABLE theirs (id INTEGER)")
    refused = asyncio.Event()

    class Noticed(Pool):
        async def _set(self, connection: aiosqlite.Connection, pragma: str) -> None:
            if pragma.startswith("journal_mode"):
                with pytest.raises(sqlite3.OperationalError, match="locked"):
                    await connection.execute(f"PRAGMA {pragma}")
                refused.set()
            await super()._set(connection, pragma)

    pool = Noticed(str(file), size=1, timeout_s=60, is_reader=False, is_memory=False)
    opening = asyncio.create_task(pool.acquire())
    async with asyncio.timeout(60):
        await refused.wait()
        other.execute("COMMIT")
        other.close()
        await pool.release(await opening)
    await pool.close()


async def test_a_new_file_that_somebody_keeps_is_given_up_in_time(tmp_path: Path) -> None:
    file = tmp_path / "new.db"
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    database = Database(f"sqlite:///{file}", timeout_s=0.05)
    with pytest.raises(DatabaseUnavailable, match="locked"):
        await database.open()
    await database.close()
    other.close()


async def test_a_connection_that_nobody_waits_for_any_longer_is_closed(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    async with asyncio.timeout(60):
        for turns in range(30):
            database = Database(url, timeout_s=5)
            await database.open()
            await asyncio.gather(*(database.ping() for _ in range(2)))
            others = [asyncio.create_task(database.ping()) for _ in range(5)]
            for _ in range(turns):
                await asyncio.sleep(0)
            for task in others:
                task.cancel()
            await asyncio.wait(others)
            await database.ping()
            await database.close()


async def test_a_transaction_that_cannot_begin_gives_its_connection_back(tmp_path: Path, thing: MakeThing) -> None:
    url = f"sqlite:///{tmp_path / 'shared.db'}"
    ours, theirs = Database(url, timeout_s=0.05), Database(url, timeout_s=5)
    await ours.open()
    await theirs.open()
    async with theirs.transaction() as tx:
        await tx.execute(CreateTable(THINGS))
        for _ in range(2):
            with pytest.raises(DatabaseUnavailable, match="locked"):
                await asyncio.create_task(put(ours, **thing()), context=Context())
    await put(ours, **thing())
    assert await count(theirs) == 1
    await ours.close()
    await theirs.close()


async def test_updates_and_deletes_are_counted_rightly(database: Database, thing: MakeThing) -> None:
    async with database.transaction() as tx:
        await tx.insert_many(THINGS, [thing(1), thing(2), thing(3)])
        assert await tx.affected(delete(THINGS).where(THINGS.c.id == 99)) == 0
        assert await tx.affected(update(THINGS).where(THINGS.c.id < 3).values(count=5)) == 2
        assert await tx.affected(delete(THINGS)) == 3


async def test_thirty_read_modify_writes_at_once_lose_nothing(database: Database, thing: MakeThing) -> None:
    await put(database, **thing())

    async def increment() -> None:
        async with database.transaction() as tx:
            row = await tx.fetch_one(select(THINGS.c.count).where(THINGS.c.id == 1).with_for_update())
            await tx.execute(update(THINGS).values(count=row.count + 1))

    async with asyncio.timeout(20):
        await asyncio.gather(*(increment() for _ in range(30)))
    async with database.reading() as tx:
        assert (await tx.fetch_one(select(THINGS))).count == 30


async def test_what_runs_after_commit_runs_only_after_a_commit(database: Database, thing: MakeThing) -> None:
    told: list[str] = []
    async with database.transaction() as tx:
        tx.after_commit(lambda: told.append("committed"))
        await tx.execute(insert(THINGS).values(**thing()))
        assert told == []
    assert told == ["committed"]
    with pytest.raises(ConstraintViolated):
        async with database.transaction() as tx:
            tx.after_commit(lambda: told.append("never"))
            await tx.execute(insert(THINGS).values(**thing()))
    assert told == ["committed"]


async def test_what_is_committed_is_told_also_when_whoever_did_it_is_cancelled_just_then(
    database: Database, thing: MakeThing
) -> None:
    told: list[str] = []

    async def write() -> None:
        async with database.transaction() as tx:
            tx.after_commit(lambda: told.append("committed"))
            await tx.execute(insert(THINGS).values(**thing()))
            mine = asyncio.current_task()
            assert mine is not None
            asyncio.get_running_loop().call_soon(mine.cancel)  # which is when the commit is under way

    writing = asyncio.create_task(write())
    await asyncio.wait([writing])
    assert writing.cancelled()
    assert (await count(database), told) == (1, ["committed"])


async def test_constraints_hold(database: Database, thing: MakeThing) -> None:
    await put(database, **thing())
    for values in (thing(), thing(2, name="thing 1"), thing(3, name=None)):
        with pytest.raises(ConstraintViolated):
            await put(database, **values)
    with pytest.raises(ConstraintViolated):
        async with database.transaction() as tx:
            await tx.execute(insert(PARTS).values(id=1, thing_id=404))


async def test_nested_transactions_are_refused(database: Database) -> None:
    async with database.transaction():
        with pytest.raises(RuntimeError, match="not nested"):
            async with database.transaction():
                pass
        with pytest.raises(RuntimeError, match="not nested"):
            await database.ping()


async def test_a_transaction_stays_in_its_task(database: Database) -> None:
    async with database.transaction() as tx:
        with pytest.raises(RuntimeError, match="belongs to the task"):
            await asyncio.create_task(tx.fetch_all(select(THINGS)))
    with pytest.raises(RuntimeError, match="is over"):
        await tx.fetch_all(select(THINGS))


async def test_a_reading_transaction_does_not_write(database: Database, thing: MakeThing) -> None:
    async with database.reading() as tx:
        with pytest.raises(RuntimeError, match="only reads"):
            await tx.execute(insert(THINGS).values(**thing()))


async def test_text_is_no_query(database: Database) -> None:
    async with database.reading() as tx:
        with pytest.raises(TypeError, match="never text"):
            await tx.fetch_all("SELECT * FROM things WHERE name LIKE 'a%'")  # type: ignore[arg-type]
        assert await tx.fetch_all(select(THINGS).where(THINGS.c.name.like("a%"))) == []


async def test_a_default_in_python_is_refused_instead_of_forgotten(database: Database) -> None:
    lazy = Table("lazy", MetaData(), Column("id", Integer, primary_key=True), Column("name", String, default="x"))
    async with database.transaction() as tx:
        with pytest.raises(TypeError, match=r"lazy\.name"):
            await tx.execute(insert(lazy).values(id=1))


async def test_a_nul_character_is_refused_on_every_database(database: Database, thing: MakeThing) -> None:
    with pytest.raises(TextInvalid) as refused:
        await put(database, **thing(name="a\0b"))
    assert refused.value.param == "name"


async def test_another_event_loop_is_refused_clearly(database: Database) -> None:
    def elsewhere() -> None:
        asyncio.run(database.ping())

    with pytest.raises(DatabaseUnavailable, match="event loop"):
        await asyncio.to_thread(elsewhere)
    await database.ping()


async def test_many_rows_go_in_with_one_statement(database: Database, thing: MakeThing) -> None:
    async with database.transaction() as tx:
        await tx.insert_many(THINGS, [thing(n) for n in range(500)])
        await tx.insert_many(THINGS, [])
    assert await count(database) == 500


async def test_fifty_readers_and_writers_at_once(database: Database, thing: MakeThing) -> None:
    async with asyncio.timeout(30):
        await asyncio.gather(*(put(database, **thing(n)) for n in range(25)), *(count(database) for _ in range(25)))
    assert await count(database) == 25


async def test_closing_does_not_wait_for_an_open_transaction(url: str) -> None:
    database = Database(url, timeout_s=5)
    await database.open()
    entered = asyncio.Event()

    async def hang() -> None:
        async with database.transaction():
            entered.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(hang())
    async with asyncio.timeout(25):
        await entered.wait()
        await database.close()
        task.cancel()
        await asyncio.wait([task])
    with pytest.raises((asyncio.CancelledError, Exception)):
        task.result()
    with pytest.raises(DatabaseUnavailable):
        await database.ping()


async def test_a_row_of_last_year_keeps_its_moment(database: Database, thing: MakeThing) -> None:
    at = datetime(2025, 1, 1, tzinfo=UTC)
    await put(database, **thing(at=at))
    async with database.reading() as tx:
        late = await tx.fetch_all(select(THINGS).where(THINGS.c.at < at + timedelta(days=1)))
    assert len(late) == 1


async def test_a_connection_that_is_given_up_while_it_opens_is_closed(tmp_path: Path) -> None:
    class GivenUp(Pool):
        def _pragmas(self) -> Iterable[str]:
            yield "foreign_keys = ON"
            raise asyncio.CancelledError

    pool = GivenUp(str(tmp_path / "x.db"), size=1, timeout_s=1, is_reader=False, is_memory=False)
    with pytest.raises(asyncio.CancelledError):
        await pool.acquire()
    gc.collect()  # what is still open would complain
    await pool.close()
