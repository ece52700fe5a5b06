"""PostgreSQL that is not there yet, that gives a transaction up, and how TLS is asked of it: by ``sslmode``."""

import asyncio

import pytest
from sqlalchemy import insert, update
from sqlalchemy.schema import CreateTable

from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import DatabaseUnavailable
from tests.db.conftest import THINGS
from tests.neighbours.postgres import Cluster


@pytest.mark.parametrize("mode", ["disable", "prefer"])
async def test_a_server_without_tls_is_used_where_that_may_be(postgres: Cluster, mode: str) -> None:
    database = Database(f"{postgres.create(f'tls_{mode}')}?sslmode={mode}", timeout_s=5)
    await database.open()
    try:
        await database.migrate("auto")
        assert all(step.applied_at for step in await database.migration_status())
    finally:
        await database.close()


@pytest.mark.parametrize("mode", ["require", "verify-full"])
async def test_a_server_without_tls_is_refused_where_it_must_not_be(postgres: Cluster, mode: str) -> None:
    database = Database(f"{postgres.url}?sslmode={mode}", timeout_s=5)
    with pytest.raises(DatabaseUnavailable):
        await database.open()
    await database.close()


async def test_a_server_that_was_never_reached_is_said_to_be_down() -> None:
    database = Database("postgresql://bodhi@127.0.0.1:9/none", timeout_s=5)
    with pytest.raises(DatabaseUnavailable):
        await database.open()
    for way in (database.reading, database.transaction):
        with pytest.raises(DatabaseUnavailable, match="could not be reached"):
            async with way():
                pass
    await database.close()


async def test_of_two_transactions_that_wait_for_each_other_one_is_told_to_try_again(postgres: Cluster) -> None:
    database = Database(postgres.create("deadlock"), timeout_s=30)
    await database.open()
    both_hold_one = asyncio.Barrier(2)

    async def count(first: int, second: int) -> None:
        async with database.transaction() as tx:
            await tx.execute(update(THINGS).where(THINGS.c.id == first).values(count=1))
            await both_hold_one.wait()
            await tx.execute(update(THINGS).where(THINGS.c.id == second).values(count=1))

    try:
        async with database.transaction() as tx:
            await tx.execute(CreateTable(THINGS))
            for number in (1, 2):
                await tx.execute(insert(THINGS).values(id=number, name=str(number), count=0))
        ends = await asyncio.gather(count(1, 2), count(2, 1), return_exceptions=True)
        (given_up,) = [end for end in ends if end is not None]
        assert isinstance(given_up, DatabaseUnavailable), given_up
        assert "try again" in str(given_up)
    finally:
        await database.close()
