"""What all notations of tool calls have in common: where they are read, who hears of them, and names and markers."""

import json
from collections.abc import Mapping
from typing import Any, Final, Protocol

from bodhi_asgi.engine.families.types import MAX_GAP_CHARS
from bodhi_asgi.inference.source import Reading, Say, Source

MAX_NAME_CHARS: Final = 64
NAME: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-.")

Schemas = Mapping[str, Mapping[str, Any]]
"""The JSON schema of each tool's arguments, by the tool's name."""


class Listener(Protocol):
    """Hears of calls."""

    def begin(self, name: str) -> None:
        """A call begins."""
        ...

    def argue(self, arguments: str) -> None:
        """More of the arguments' JSON text."""
        ...


class Notation:
    """A way to write calls. Its readers return whether there was a call; if not, nothing was passed on."""

    def __init__(self, source: Source, schemas: Schemas, listener: Listener) -> None:
        self._source = source
        self._schemas = schemas
        self._listener = listener

    def _name(self) -> Reading[str | None]:
        """The name of a tool that was offered."""
        name = yield from self._source.take_while(NAME.__contains__, MAX_NAME_CHARS)
        return name if name in self._schemas else None

    def _seek(self, marker: str) -> Reading[str | None]:
        """Read up to and over a marker, from its last placeholder on: what stood before it, or None."""
        literal = marker.rpartition("}")[2].strip()
        return (yield from self._source.seek(literal, MAX_GAP_CHARS)) if literal else ""

    def _close(self, marker: str) -> Reading[None]:
        """Read over a closing marker; models forget it."""
        if marker.strip():
            place = self._source.place
            yield from self._source.skip_space()
            if not (yield from self._source.take(marker.strip())):
                self._source.place = place


class Escaped:
    """Text that is said as the inside of a JSON string. A last newline may be no part of it."""

    def __init__(self, say: Say, *, drops_newline: bool = False) -> None:
        self._say = say
        self._drops_newline = drops_newline
        self._held = ""

    def say(self, text: str) -> None:
        text = self._held + text
        self._held = ""
        if self._drops_newline and text.endswith("\n"):
            text, self._held = text[:-1], "\n"
        if text:
            self._say(json.dumps(text, ensure_ascii=False)[1:-1])

    def end(self) -> None:
        """The text is complete: what was held back was the newline before the marker."""
        self._held = ""
