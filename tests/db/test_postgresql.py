"""PostgreSQL that is not there yet, and how TLS is asked of it: by ``sslmode``, as its own clients do."""

import pytest

from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import DatabaseUnavailable
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
