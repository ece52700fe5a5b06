"""Finding notes by what they mean: each passage has a vector, and the question gets one too.

Thousands of passages are compared in a millisecond, so there is no index to keep. The one weakness is told to the
reader: without a model that makes vectors, notes are found by their words.
"""

from dataclasses import dataclass

import numpy as np

from bodhi_asgi import Bodhi, BodhiError
from notes.store import Note, Passage, Store

AT_ONCE = 64
"""Passages that are read with one call."""

LEAST_LIKENESS = 0.25
MOST_FOUND = 10


@dataclass(frozen=True)
class Found:
    """A note, and how near it is to the question: 1 is the same meaning. None when it was found by its words."""

    note: Note
    likeness: float | None = None


@dataclass(frozen=True)
class Search:
    """What was found, and what the reader should know of how."""

    found: list[Found]
    remark: str = ""


class Finder:
    """Searches the notes with the embedding model of this name, or with none."""

    def __init__(self, store: Store, model: str) -> None:
        self._store = store
        self._model = model

    @property
    def knows_meanings(self) -> bool:
        return bool(self._model)

    async def find(self, bodhi: Bodhi, question: str) -> Search:
        """The notes that answer a question best, nearest first."""
        if not self._model:
            return await self._by_words(question)
        try:
            await self.read_new(bodhi)
            (asked,) = await self._vectors(bodhi, [question])
        except BodhiError as error:
            return await self._by_words(question, f"By words this time: {error.message}.")
        best: dict[int, float] = {}
        for passage in await self._store.read_passages(self._model):
            likeness = float(np.frombuffer(passage.vector, "<f4") @ asked)
            best[passage.note_id] = max(likeness, best.get(passage.note_id, -1))
        notes = {note.id: note for note in await self._store.recent()}
        order = sorted(best, key=lambda note_id: -best[note_id])[:MOST_FOUND]
        near = [note_id for note_id in order if best[note_id] >= LEAST_LIKENESS and note_id in notes]
        return Search([Found(notes[note_id], best[note_id]) for note_id in near])

    async def read_new(self, bodhi: Bodhi) -> None:
        """Make the vectors that are missing: of new notes, or of all after another model was chosen."""
        while self._model and (unread := await self._store.unread_passages(self._model, AT_ONCE)):
            vectors = await self._vectors(bodhi, [passage.text for passage in unread])
            pairs: list[tuple[Passage, bytes]] = [
                (passage, vector.tobytes()) for passage, vector in zip(unread, vectors, strict=True)
            ]
            await self._store.keep_vectors(self._model, pairs)

    async def _vectors(self, bodhi: Bodhi, texts: list[str]) -> list[np.ndarray]:
        answer = await bodhi.embeddings({"model": self._model, "input": texts})
        return [np.asarray(one.embedding, "<f4") for one in answer.data]

    async def _by_words(self, question: str, remark: str = "") -> Search:
        return Search([Found(note) for note in await self._store.with_words(question)], remark)
