"""One suite over SQLite in a file, SQLite in memory, and PostgreSQL."""

from collections.abc import AsyncIterator, Callable

import pytest
from sqlalchemy import JSON, Column, DateTime, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy.schema import CreateTable

from bodhi_asgi.db.database import Database

THINGS = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("name", String(100), nullable=False, unique=True),
    Column("count", Integer, nullable=False),
    Column("data", JSON),
    Column("at", DateTime(timezone=True)),
)
PARTS = Table(
    "parts",
    THINGS.metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("thing_id", ForeignKey(THINGS.c.id), nullable=False),
)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    """An open database with two tables."""
    database = Database(url, timeout_s=5)
    await database.open()
    async with database.transaction() as tx:
        await tx.execute(CreateTable(THINGS))
        await tx.execute(CreateTable(PARTS))
    yield database
    await database.close()


@pytest.fixture
def thing() -> Callable[..., dict[str, object]]:
    """Values of one row."""

    def make(number: int = 1, **values: object) -> dict[str, object]:
        return {"id": number, "name": f"thing {number}", "count": 0, "data": None, "at": None, **values}

    return make
