"""From the bytes of tokens to text: whole characters only, and never a part of a stop string."""

import codecs
from typing import Final

REPLACEMENT: Final = "replace"


class TextStream:
    """Text of one answer as it grows. Bytes that are no UTF-8 become U+FFFD, a split character waits for its rest."""

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors=REPLACEMENT)
        self._stop = stop
        self._held = ""
        self.pushed = 0
        """Characters that have come in."""
        self.shown = 0
        """Characters that have gone out."""
        self.is_stopped = False

    @property
    def is_split(self) -> bool:
        """Whether a character waits for its rest."""
        return bool(self._decoder.getstate()[0])

    def push(self, piece: bytes, *, may_stop: bool = True) -> str:
        """The text that may be shown now. Once a stop string is complete, ``is_stopped`` is set and nothing follows.

        Text that may not stop is no part of a stop string either; once some may, all that follows may.
        """
        text = self._decoder.decode(piece)
        self.pushed += len(text)
        if may_stop and (self._stop or self.is_stopped):
            text = self._release(text)
        self.shown += len(text)
        return text

    def finish(self) -> str:
        """What was held back, at the end of an answer that no stop string ended."""
        rest = self._decoder.decode(b"", final=True)
        self.pushed += len(rest)
        text = self._release(rest)
        held, self._held = self._held, ""
        text = text if self.is_stopped else text + held
        self.shown += len(text)
        return text

    def _release(self, text: str) -> str:
        if self.is_stopped or not self._stop:
            return "" if self.is_stopped else text
        text = self._held + text
        found = min((place for place in (text.find(stop) for stop in self._stop) if place >= 0), default=-1)
        if found >= 0:
            self.is_stopped = True
            self._held = ""
            return text[:found]
        keep = max(_overlap(text, stop) for stop in self._stop)
        self._held = text[len(text) - keep :]
        return text[: len(text) - keep]


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of ``text`` could begin ``stop``."""
    for size in range(min(len(text), len(stop) - 1), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
