"""Reads tool calls in whatever form a family writes them, and passes on name and arguments as they come.

Arguments leave as JSON text, translated where the family writes them otherwise. Nothing leaves before it is clear that
it is a call: a marker, the name of a tool that was offered, and the beginning of arguments.
"""

import json
import sys
from collections.abc import Mapping
from typing import Any, Final, Protocol

from bodhi_asgi.engine.families.kinds import is_text, types_of
from bodhi_asgi.engine.families.types import (
    MAX_GAP_CHARS,
    CallForm,
    GemmaCalls,
    JsonCalls,
    NamedCalls,
    ParamCalls,
    PythonCalls,
)
from bodhi_asgi.inference.literals import json_of_python, json_of_word
from bodhi_asgi.inference.source import SPACE, Reading, Say, Source

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


class CallReader:
    """Reads one call after the other. Each method returns whether it was one; if not, nothing was passed on."""

    def __init__(self, source: Source, schemas: Schemas, listener: Listener) -> None:
        self._source = source
        self._schemas = schemas
        self._listener = listener

    def call(self, form: CallForm) -> Reading[bool]:
        """Read one call, from behind its opening marker."""
        match form:
            case JsonCalls():
                return (yield from self._json(form))
            case NamedCalls():
                return (yield from self._named(form))
            case ParamCalls():
                return (yield from self._params(form))
            case PythonCalls():
                return (yield from self._python())
            case GemmaCalls():
                return (yield from self._gemma(form))

    # -- {"name": …, "arguments": {…}}

    def _json(self, form: JsonCalls) -> Reading[bool]:
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
            quoted = yield from self._value()
            key = _text(quoted)
            yield from source.skip_space()
            if key is None or not (yield from source.take(":")):
                return has_begun
            yield from source.skip_space()
            if form.name_is_key:
                name = key
            if key == form.name_key and not form.name_is_key:
                quoted = yield from self._value()
                name = _text(quoted)
            elif key == form.arguments_key or form.name_is_key:
                is_ready = name in self._schemas and not has_begun
                if is_ready and name is not None and (yield from source.peek()) == "{":
                    has_begun = True
                    self._listener.begin(name)
                    yield from self._json_value(self._listener.argue)
                else:
                    held = yield from self._value()
            elif not (yield from self._value()):
                return has_begun
        if has_begun:
            return True
        arguments = _object_of(held)
        if name is None or name not in self._schemas or arguments is None:
            return False
        self._begin_whole(name, arguments)
        return True

    def _value(self) -> Reading[str]:
        """The whole text of a JSON value; nothing when there is none."""
        pieces: list[str] = []
        is_whole = yield from self._json_value(pieces.append)
        return "".join(pieces) if is_whole else ""

    def _json_value(self, say: Say) -> Reading[bool]:
        """Say the text of one JSON value as it comes, and return whether it came to its end."""
        source = self._source
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

    # -- a name in the text, then {…}

    def _named(self, form: NamedCalls) -> Reading[bool]:
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
        if (yield from self._json_value(self._listener.argue)):
            yield from self._close(form.close)
        return True

    # -- a name, and each argument between markers

    def _params(self, form: ParamCalls) -> Reading[bool]:
        source = self._source
        yield from source.skip_space()
        name = yield from self._name()
        if name is None:
            return False
        if (yield from self._seek(form.name_close)) is None:
            return False
        yield from source.skip_space()
        self._listener.begin(name)
        self._listener.argue("{")
        properties = self._schemas[name].get("properties")
        is_first = True
        while not (form.close and (yield from source.take(form.close.strip()))):
            if not (yield from source.take(form.key_open)):
                break
            key = yield from source.seek(form.key_close.strip(), MAX_GAP_CHARS)
            gap = yield from self._seek(form.value_open)
            if key is None or gap is None:
                break
            self._listener.argue(("" if is_first else ", ") + json.dumps(key, ensure_ascii=False) + ": ")
            is_first = False
            schema = properties.get(key) if isinstance(properties, Mapping) else None
            if not (yield from self._param(form, key, gap, schema)):
                return True
            yield from source.skip_space()
        self._listener.argue("}")
        return True

    def _param(self, form: ParamCalls, key: str, gap: str, schema: Any) -> Reading[bool]:
        """One argument's value; False when the text ended in it."""
        source = self._source
        close = (form.value_close.strip().replace("{key}", key),)
        if form.has_newlines:
            yield from source.take("\n")
        if is_text(schema) or gap.endswith(('="true', '="string')):
            text = _Escaped(self._listener.argue, drops_newline=form.has_newlines)
            self._listener.argue('"')
            found = yield from source.until(close, text.say, keeps=True)
            if found is not None:
                text.end()
                self._listener.argue('"')
        else:
            pieces: list[str] = []
            found = yield from source.until(close, pieces.append, keeps=True)
            value = "".join(pieces).removesuffix("\n" if form.has_newlines else "")
            self._listener.argue(json_of_word(value, types_of(schema)))
        return found is not None

    # -- name(key=value, …)

    def _python(self) -> Reading[bool]:
        source = self._source
        name = yield from self._name()
        if name is None or not (yield from source.take("(")):
            return False
        self._listener.begin(name)
        self._listener.argue("{")
        is_first = True
        while True:
            yield from source.skip_space()
            if (yield from source.take(")")):
                break
            yield from source.take(",")
            yield from source.skip_space()
            key = yield from source.take_while(lambda char: char.isalnum() or char == "_", MAX_GAP_CHARS)
            yield from source.skip_space()
            if not key or not (yield from source.take("=")):
                return True
            yield from source.skip_space()
            value = yield from self._python_value()
            if not value:
                return True
            comma = "" if is_first else ", "
            self._listener.argue(f"{comma}{json.dumps(key, ensure_ascii=False)}: {json_of_python(value)}")
            is_first = False
        self._listener.argue("}")
        return True

    def _python_value(self) -> Reading[str]:
        """The text of a literal, up to the comma or bracket behind it; nothing when the text ends first."""
        source = self._source
        begin = source.place
        depth = 0
        while char := (yield from source.peek()):
            if char in "'\"":
                yield from self._python_string(char)
                continue
            if char == "#" and depth:
                yield from source.take_while("\n".__ne__, sys.maxsize)
                continue
            if char in "([{":
                depth += 1
            elif depth and char in ")]}":
                depth -= 1
            elif depth == 0 and char in ",)":
                return source.text[begin : source.place].strip()
            source.place += 1
        return ""

    def _python_string(self, quote: str) -> Reading[None]:
        """Read over a string, be it in one quote or in three."""
        source = self._source
        close = quote
        source.place += 1
        if (yield from source.take(quote)):
            if not (yield from source.take(quote)):
                return
            close = quote * 3
        while not (yield from source.take(close)) and (char := (yield from source.peek())):
            source.place += 1
            if char == "\\" and (yield from source.peek()):
                source.place += 1

    # -- call:name{key:value, …}

    def _gemma(self, form: GemmaCalls) -> Reading[bool]:
        source = self._source
        argue = self._listener.argue
        if not (yield from source.take(form.open)):
            return False
        name = yield from self._name()
        if name is None or (yield from source.peek()) != "{":
            return False
        self._listener.begin(name)
        depth = 0
        while True:
            char = yield from source.peek()
            if not char:
                return True
            if (yield from source.take(form.quote)):
                argue('"')
                found = yield from source.until((form.quote,), _Escaped(argue).say, keeps=True)
                argue('"' if found else "")
            elif char in "{}[],:" or char in SPACE:
                source.place += 1
                argue(char)
                depth += (char in "{[") - (char in "}]")
                if depth == 0:
                    return True
            else:
                word = yield from source.take_while(lambda c: c not in "{}[],:" and c not in SPACE, MAX_GAP_CHARS)
                is_key = (yield from source.peek()) == ":"
                argue(json_of_word(word, {"string"} if is_key else frozenset()))

    # -- what all have in common

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

    def _begin_whole(self, name: str, arguments: str) -> None:
        self._listener.begin(name)
        self._listener.argue(arguments)


class _Escaped:
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
