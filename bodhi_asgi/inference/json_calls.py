"""Calls whose arguments are JSON: an object with the name in it, or a name in the text and an object behind it.

The text of arguments is passed on as it comes.
"""

import json

from bodhi_asgi.engine.families.types import JsonCalls, NamedCalls
from bodhi_asgi.inference.notation import Notation
from bodhi_asgi.inference.source import SPACE, Reading, Say, Source


class JsonNotation(Notation):
    """``{"name": …, "arguments": {…}}``"""

    def call(self, form: JsonCalls) -> Reading[bool]:
        """Read one call."""
        source = self._source
        name = held = None
        has_begun = False
        if not (yield from source.take("{")):
            return False
        while True:
            yield from source.skip_space()
            if (yield from source.take("}")):
                break
            yield from source.take(",")
            yield from source.skip_space()
            quoted = yield from _value(self._source)
            key = _text(quoted)
            yield from source.skip_space()
            if key is None or not (yield from source.take(":")):
                return has_begun
            yield from source.skip_space()
            if form.name_is_key:
                name = key
            if key == form.name_key and not form.name_is_key:
                quoted = yield from _value(self._source)
                name = _text(quoted)
            elif key == form.arguments_key or form.name_is_key:
                is_ready = name in self._schemas and not has_begun
                if is_ready and name is not None and (yield from source.peek()) == "{":
                    has_begun = True
                    self._listener.begin(name)
                    yield from _json_value(self._source, self._listener.argue)
                else:
                    held = yield from _value(self._source)
            elif not (yield from _value(self._source)):
                return has_begun
        if has_begun:
            return True
        arguments = _object_of(held)
        if name is None or name not in self._schemas or arguments is None:
            return False
        self._begin_whole(name, arguments)
        return True

    def _begin_whole(self, name: str, arguments: str) -> None:
        self._listener.begin(name)
        self._listener.argue(arguments)


class NamedNotation(Notation):
    """A name in the text, then ``{…}``"""

    def call(self, form: NamedCalls) -> Reading[bool]:
        """Read one call."""
        source = self._source
        if (yield from self._seek(form.lead)) is None:
            return False
        name = yield from self._name()
        if name is None:
            return False
        if (yield from self._seek(form.mid)) is None:
            return False
        yield from source.skip_space()
        if (yield from source.peek()) != "{":
            return False
        self._listener.begin(name)
        if (yield from _json_value(self._source, self._listener.argue)):
            yield from self._close(form.close)
        return True


def _json_value(source: Source, say: Say) -> Reading[bool]:
    """Say the text of one JSON value as it comes, and return whether it came to its end."""
    depth = 0
    in_string = is_escaped = False
    while True:
        begin = source.place
        is_whole = False
        while source.left:
            char = source.text[source.place]
            if in_string:
                if is_escaped:
                    is_escaped = False
                elif char == "\\":
                    is_escaped = True
                elif char == '"':
                    in_string = False
                    is_whole = depth == 0
            elif char == '"':
                in_string = True
            elif char in "{[":
                depth += 1
            elif char in "}]":
                if depth == 0:
                    say(source.text[begin : source.place])
                    return True  # a bare value ends where what holds it does
                depth -= 1
                is_whole = depth == 0
            elif depth == 0 and (char == "," or char in SPACE):
                say(source.text[begin : source.place])
                return True
            source.place += 1
            if is_whole:
                break
        if source.place > begin:
            say(source.text[begin : source.place])
        if is_whole:
            return True
        if source.is_over:
            return False
        yield


def _value(source: Source) -> Reading[str]:
    """The whole text of a JSON value; nothing when there is none."""
    pieces: list[str] = []
    is_whole = yield from _json_value(source, pieces.append)
    return "".join(pieces) if is_whole else ""


def _text(value: str) -> str | None:
    """The string that a JSON text holds."""
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, str) else None


def _object_of(held: str | None) -> str | None:
    """Arguments as the text of an object: given whole, as JSON within a string, or not at all."""
    if held is None:
        return "{}"
    try:
        value = json.loads(held)
        if isinstance(value, str):
            held = value
            value = json.loads(value)
    except (ValueError, RecursionError):
        return None
    return held if isinstance(value, dict) else None
