"""The tickets, and the runs of the assistant that wait for a person, in one SQLite file."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Literal

import aiosqlite
from pydantic import BaseModel, Field

SCHEMA = """
CREATE TABLE IF NOT EXISTS ticket (
    id INTEGER PRIMARY KEY, title TEXT NOT NULL, body TEXT NOT NULL, customer TEXT NOT NULL,
    status TEXT NOT NULL DEFAULT 'open', summary TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS waiting (id TEXT PRIMARY KEY, state TEXT NOT NULL);
"""
FIRST = (
    ("Printer prints only green", "Since this morning every page is green, and the office is not.", "Ada"),
    ("Cannot log in", "My password is right. I typed it four times.", "Bob"),
    ("Where is my order?", "I ordered two chairs in May, and one came.", "Eve"),
)


class NewTicket(BaseModel):
    """What a customer sends."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    body: Annotated[str, Field(min_length=1, max_length=10_000)]
    customer: Annotated[str, Field(min_length=1, max_length=100)]


class Ticket(NewTicket):
    """A ticket; ``summary`` is written in the background after it came."""

    id: int
    status: Literal["open", "closed"]
    summary: str


class Store:
    """All questions to the database stand here."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._db = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Store"]:
        async with aiosqlite.connect(path) as connection:
            connection.row_factory = aiosqlite.Row
            await connection.executescript(SCHEMA)
            store = cls(connection)
            if not await store.tickets():
                for title, body, customer in FIRST:
                    await store.add(NewTicket(title=title, body=body, customer=customer))
            yield store

    async def tickets(self, limit: int = 200) -> list[Ticket]:
        """The open ones first, the newest of each first."""
        return await self._read("SELECT * FROM ticket ORDER BY status DESC, id DESC LIMIT ?", (limit,))

    async def ticket(self, number: int) -> Ticket | None:
        found = await self._read("SELECT * FROM ticket WHERE id = ?", (number,))
        return found[0] if found else None

    async def add(self, new: NewTicket) -> Ticket:
        question = "INSERT INTO ticket (title, body, customer) VALUES (?, ?, ?)"
        async with self._db.execute(question, (new.title, new.body, new.customer)) as done:
            number = done.lastrowid
        await self._db.commit()
        assert number is not None
        return Ticket(id=number, status="open", summary="", **new.model_dump())

    async def close(self, number: int) -> bool:
        """Close a ticket; False when there is no open one of this number."""
        question = "UPDATE ticket SET status = 'closed' WHERE id = ? AND status = 'open'"
        async with self._db.execute(question, (number,)) as done:
            changed = done.rowcount == 1
        await self._db.commit()
        return changed

    async def summarised(self, number: int, summary: str) -> None:
        await self._db.execute("UPDATE ticket SET summary = ? WHERE id = ?", (summary, number))
        await self._db.commit()

    async def keep(self, state_id: str, state: str) -> None:
        await self._db.execute("INSERT INTO waiting (id, state) VALUES (?, ?)", (state_id, state))
        await self._db.commit()

    async def take(self, state_id: str) -> str | None:
        """A run that waits, once: whoever takes it has it, and nobody after."""
        question = "DELETE FROM waiting WHERE id = ? RETURNING state"
        rows = list(await self._db.execute_fetchall(question, (state_id,)))
        await self._db.commit()
        return rows[0]["state"] if rows else None

    async def _read(self, question: str, values: Sequence[object]) -> list[Ticket]:
        return [Ticket(**dict(row)) for row in await self._db.execute_fetchall(question, tuple(values))]
