"""Text that arrives in pieces, read by coroutines that wait wherever they need more of it.

A reader says ``yield from source.at("<tool_call>")`` as if all text were there; it is resumed with each piece. What it
finds depends on the text and never on where the pieces end.
"""

from collections.abc import Callable, Generator, Sequence
from typing import Final, TypeAlias, TypeVar

T = TypeVar("T")
Reading: TypeAlias = Generator[None, None, T]
Say: TypeAlias = Callable[[str], None]

SPACE: Final = " \t\r\n"


class Source:
    """``text[at:]`` is what has come and is not read yet; ``is_over`` that nothing more will come."""

    def __init__(self) -> None:
        self.text = ""
        self.place = 0
        self.is_over = False

    def forget(self) -> None:
        """Drop what is read; places taken before are void."""
        self.text = self.text[self.place :]
        self.place = 0

    @property
    def left(self) -> int:
        """How many characters wait to be read."""
        return len(self.text) - self.place

    def peek(self) -> Reading[str]:
        """The next character, or nothing at the end."""
        while not self.left and not self.is_over:
            yield
        return self.text[self.place : self.place + 1]

    def skip_space(self) -> Reading[None]:
        """Read over white space."""
        while (char := (yield from self.peek())) and char in SPACE:
            self.place += 1

    def take(self, literal: str) -> Reading[bool]:
        """Read ``literal`` if it stands here."""
        while self.left < len(literal) and not self.is_over and literal.startswith(self.text[self.place :]):
            yield
        is_here = self.text.startswith(literal, self.place)
        if is_here:
            self.place += len(literal)
        return is_here

    def take_while(self, wanted: Callable[[str], bool], limit: int) -> Reading[str]:
        """The characters from here that are ``wanted``, at most ``limit``."""
        begin = self.place
        while self.place - begin < limit and (char := (yield from self.peek())) and wanted(char):
            self.place += 1
        return self.text[begin : self.place]

    def seek(self, literal: str, limit: int) -> Reading[str | None]:
        """Read up to and over ``literal``: what stood before it, or None when it is not near."""
        begin = self.place
        while True:
            found = self.text.find(literal, begin, begin + limit + len(literal))
            if found >= 0:
                self.place = found + len(literal)
                return self.text[begin:found]
            if self.is_over or len(self.text) - begin >= limit + len(literal):
                return None
            yield

    def until(self, markers: Sequence[str], say: Say, *, keeps: bool = False) -> Reading[str | None]:
        """Say the text up to the first of ``markers`` and read over it; None when the text ends without one.

        Held back is only what could begin a marker; of two at one place the longer one counts. Unless the reader
        ``keeps`` places, read text is forgotten.
        """
        firsts = {marker[0] for marker in markers}
        longest = max(map(len, markers), default=0)
        while True:
            place, marker = self._first(markers, firsts, longest)
            if place > self.place:
                say(self.text[self.place : place])
                self.place = place
            if marker is not None:
                self.place += len(marker)
                return marker
            if not keeps:
                self.forget()
            if self.is_over:
                if self.left:
                    say(self.text[self.place :])
                    self.place = len(self.text)
                return None
            yield

    def _first(self, markers: Sequence[str], firsts: set[str], longest: int) -> tuple[int, str | None]:
        """Where the first marker is that is there, or may yet be."""
        for place in range(self.place, len(self.text)):
            if self.text[place] not in firsts:
                continue
            rest = self.text[place : place + longest]
            if not self.is_over and any(len(marker) > len(rest) and marker.startswith(rest) for marker in markers):
                return place, None
            whole = [marker for marker in markers if rest.startswith(marker)]
            if whole:
                return place, max(whole, key=len)
        return len(self.text), None
