"""The notes and what was computed of them, in one SQLite file.

A note is cut into passages, because a model that makes vectors reads a few hundred words at most; a passage without a
vector of the model in use has still to be read.
"""

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiosqlite

PASSAGE_CHARACTERS = 400
LONGEST_TITLE = 200
LONGEST_BODY = 100_000

SCHEMA = """
CREATE TABLE IF NOT EXISTS note (
    id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    body TEXT NOT NULL,
    summary TEXT NOT NULL DEFAULT '',
    changed_at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE IF NOT EXISTS passage (
    id INTEGER PRIMARY KEY,
    note_id INTEGER NOT NULL REFERENCES note ON DELETE CASCADE,
    text TEXT NOT NULL,
    model TEXT,
    vector BLOB
);
CREATE INDEX IF NOT EXISTS passage_of_note ON passage (note_id);
"""

WELCOME = (
    ("What is bodhi_asgi?", "bodhi_asgi gives a Python web application its own language models.\n\nSummarise me!"),
    ("Oslo in May", "Take the night train to Bergen, stay two nights, see the fjord.\n\nBring rain clothes."),
    ("Bread for Saturday", "Flour, yeast, salt, water. Let the dough rest overnight, bake it at 230 degrees."),
)
"""What a new book of notes has in it."""


@dataclass(frozen=True)
class Note:
    """A note; ``summary`` is empty until a model wrote one, and again after a change."""

    id: int
    title: str
    body: str
    summary: str
    changed_at: str


@dataclass(frozen=True)
class Passage:
    """A piece of a note, and its vector in 32-bit floats when it has been read."""

    id: int
    note_id: int
    text: str
    vector: bytes = b""


class Store:
    """All questions to the database stand here, one connection long."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._db = connection

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path) -> AsyncIterator["Store"]:
        """The notes in this file, which is made with something to read when it is new."""
        async with aiosqlite.connect(path) as connection:
            connection.row_factory = aiosqlite.Row
            await connection.execute("PRAGMA foreign_keys = ON")
            await connection.executescript(SCHEMA)
            store = cls(connection)
            if not await store.recent(1):
                for title, body in reversed(WELCOME):
                    await store.add(title, body)
            yield store

    async def recent(self, limit: int = 200) -> list[Note]:
        """The notes, the last changed first."""
        return await self._notes("SELECT * FROM note ORDER BY changed_at DESC, id DESC LIMIT ?", (limit,))

    async def get(self, note_id: int) -> Note | None:
        found = await self._notes("SELECT * FROM note WHERE id = ?", (note_id,))
        return found[0] if found else None

    async def with_words(self, words: str, limit: int = 50) -> list[Note]:
        """The notes that have every one of the words."""
        patterns = [f"%{word.translate(ESCAPES)}%" for word in words.split()[:16]]
        each = " AND ".join(["(title || ' ' || body) LIKE ? ESCAPE '\\'"] * len(patterns)) or "TRUE"
        return await self._notes(
            f"SELECT * FROM note WHERE {each} ORDER BY changed_at DESC, id DESC LIMIT ?",  # noqa: S608  fixed text
            (*patterns, limit),
        )

    async def add(self, title: str, body: str) -> int:
        async with self._db.execute("INSERT INTO note (title, body) VALUES (?, ?)", (title, body)) as done:
            note_id = done.lastrowid
        assert note_id is not None
        await self._cut(note_id, title, body)
        await self._db.commit()
        return note_id

    async def change(self, note_id: int, title: str, body: str) -> None:
        """Write over a note; what was computed of its old text is forgotten."""
        await self._db.execute(
            "UPDATE note SET title = ?, body = ?, summary = '', changed_at = CURRENT_TIMESTAMP WHERE id = ?",
            (title, body, note_id),
        )
        await self._db.execute("DELETE FROM passage WHERE note_id = ?", (note_id,))
        await self._cut(note_id, title, body)
        await self._db.commit()

    async def remove(self, note_id: int) -> None:
        await self._db.execute("DELETE FROM note WHERE id = ?", (note_id,))
        await self._db.commit()

    async def summarised(self, note: Note, summary: str) -> None:
        """Keep a summary, unless the note has changed since it was read."""
        await self._db.execute(
            "UPDATE note SET summary = ? WHERE id = ? AND title = ? AND body = ?",
            (summary, note.id, note.title, note.body),
        )
        await self._db.commit()

    async def unread_passages(self, model: str, limit: int) -> list[Passage]:
        """Passages that have no vector of this model."""
        rows = await self._db.execute_fetchall(
            "SELECT id, note_id, text FROM passage WHERE model IS NOT ? LIMIT ?", (model, limit)
        )
        return [Passage(**dict(row)) for row in rows]

    async def read_passages(self, model: str) -> list[Passage]:
        """Passages that have one."""
        rows = await self._db.execute_fetchall(
            "SELECT id, note_id, text, vector FROM passage WHERE model = ?", (model,)
        )
        return [Passage(**dict(row)) for row in rows]

    async def keep_vectors(self, model: str, vectors: Iterable[tuple[Passage, bytes]]) -> None:
        rows = [(model, vector, passage.id, passage.text) for passage, vector in vectors]
        await self._db.executemany("UPDATE passage SET model = ?, vector = ? WHERE id = ? AND text = ?", rows)
        await self._db.commit()

    async def _cut(self, note_id: int, title: str, body: str) -> None:
        rows = [(note_id, text) for text in passages(title, body)]
        await self._db.executemany("INSERT INTO passage (note_id, text) VALUES (?, ?)", rows)

    async def _notes(self, question: str, values: Sequence[object]) -> list[Note]:
        return [Note(**dict(row)) for row in await self._db.execute_fetchall(question, tuple(values))]


ESCAPES = str.maketrans({"%": r"\%", "_": r"\_", "\\": r"\\"})


def passages(title: str, body: str) -> list[str]:
    """A note in pieces of at most :data:`PASSAGE_CHARACTERS`, cut between words; the first begins with the title."""
    pieces, piece = [], ""
    for word in f"{title}\n{body}".split():
        for start in range(0, len(word), PASSAGE_CHARACTERS):
            part = word[start : start + PASSAGE_CHARACTERS]
            if len(piece) + 1 + len(part) > PASSAGE_CHARACTERS:
                pieces.append(piece)
                piece = part
            else:
                piece = f"{piece} {part}".strip()
    return [*pieces, piece] if piece else pieces
