"""The books of pictures: which are decoded, who needs them, and which are forgotten when they have become too many.

A picture is known by a number made of its file. What requests need stays; what they have left stays for the next turn
of a conversation, as long as all together take no more than they may.
"""

import threading
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from llama_cpp import mtmd_cpp
from numpy.typing import NDArray

from bodhi_asgi.engine.images import Place


@dataclass(eq=False, slots=True)
class Part:
    """A piece of a picture: tokens of text around it, or places with their embeddings once they are computed.

    ``positions`` is how many it takes of its sequence.
    """

    tokens: list[int]
    chunk: Any = None
    embeddings: NDArray[np.float32] | None = None
    positions: int = 0


@dataclass(eq=False, slots=True)
class Picture:
    """A decoded picture, by whom it is needed, and how much memory it takes."""

    parts: list[Part]
    size_bytes: int = 0
    holders: set[int] = field(default_factory=set)

    def free(self) -> None:
        """Release what libmtmd has of it."""
        for part in self.parts:
            if part.chunk:
                mtmd_cpp.mtmd_input_chunk_free(part.chunk)


class Pictures:
    """Of one projector, for the engine's thread and one beside it; the guard is held for moments only."""

    def __init__(self) -> None:
        self.kept_bytes = 0
        """What pictures may take before those that nobody needs are forgotten."""
        self._pictures: dict[int, Picture] = {}  # the youngest stands last
        self._guard = threading.Lock()

    def find(self, number: int, holder: int | None) -> Picture | None:
        """The picture of that number, needed by ``holder`` from now on."""
        with self._guard:
            return self._touched(number, self._pictures.pop(number, None), holder)

    def keep(self, number: int, fresh: Picture, holder: int | None) -> Picture:
        """Enter a picture, unless somebody did meanwhile; the one that counts."""
        with self._guard:
            picture = self._pictures.pop(number, fresh)
            if picture is not fresh:
                fresh.free()
            self._touched(number, picture, holder)
            return picture

    def part(self, place: Place) -> Part:
        """The part of a picture that somebody needs in which ``place`` is."""
        return self._pictures[place.picture].parts[place.part]

    def let_go(self, holder: int, picture: Picture | None = None) -> None:
        """``holder`` needs this one no more, or (None) any."""
        with self._guard:
            for one in self._pictures.values() if picture is None else (picture,):
                one.holders.discard(holder)
            self._tidy()

    def clear(self) -> None:
        """Forget all. Idempotent."""
        with self._guard:
            while self._pictures:
                self._pictures.popitem()[1].free()

    def _touched(self, number: int, picture: Picture | None, holder: int | None) -> Picture | None:
        if picture is not None:
            self._pictures[number] = picture
            if holder is not None:
                picture.holders.add(holder)
            self._tidy(but=number)
        return picture

    def _tidy(self, but: int | None = None) -> None:
        """Forget the oldest that nobody needs, while all take more than they may."""
        kept = sum(picture.size_bytes for picture in self._pictures.values())
        for number, picture in tuple(self._pictures.items()):
            if kept <= self.kept_bytes:
                return
            if not picture.holders and number != but:
                kept -= picture.size_bytes
                self._pictures.pop(number).free()
