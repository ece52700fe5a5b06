"""Calls whose arguments are written as in a program: Python's literals, and those of Gemma 4."""

import json
import sys

from bodhi_asgi.engine.families.types import MAX_GAP_CHARS, GemmaCalls
from bodhi_asgi.inference.literals import json_of_python, json_of_word
from bodhi_asgi.inference.notation import Escaped, Notation
from bodhi_asgi.inference.source import SPACE, Reading


class PythonNotation(Notation):
    """``name(key=value, …)``"""

    def call(self) -> Reading[bool]:
        """Read one call."""
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


class GemmaNotation(Notation):
    """``call:name{key:value, …}``"""

    def call(self, form: GemmaCalls) -> Reading[bool]:
        """Read one call."""
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
                found = yield from source.until((form.quote,), Escaped(argue).say, keeps=True)
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
