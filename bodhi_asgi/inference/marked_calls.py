"""Calls with each argument between markers: a name, and then keys and values, which become JSON here."""

import json
from collections.abc import Mapping
from typing import Any

from bodhi_asgi.engine.families.kinds import is_text, types_of
from bodhi_asgi.engine.families.types import MAX_GAP_CHARS, ParamCalls
from bodhi_asgi.inference.literals import json_of_word
from bodhi_asgi.inference.notation import Escaped, Notation
from bodhi_asgi.inference.source import Reading


class MarkedNotation(Notation):
    """A name, and each argument between markers."""

    def call(self, form: ParamCalls) -> Reading[bool]:
        """Read one call."""
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
            text = Escaped(self._listener.argue, drops_newline=form.has_newlines)
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
