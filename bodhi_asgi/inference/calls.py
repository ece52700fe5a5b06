"""Reads tool calls in whatever form a family writes them, and passes on name and arguments as they come.

Arguments leave as JSON text, translated where the family writes them otherwise. Nothing leaves before it is clear that
it is a call: a marker, the name of a tool that was offered, and the beginning of arguments.
"""

from bodhi_asgi.engine.families.types import (
    CallForm,
    GemmaCalls,
    JsonCalls,
    NamedCalls,
    ParamCalls,
    PythonCalls,
)
from bodhi_asgi.inference.json_calls import JsonNotation, NamedNotation
from bodhi_asgi.inference.literal_calls import GemmaNotation, PythonNotation
from bodhi_asgi.inference.marked_calls import MarkedNotation
from bodhi_asgi.inference.notation import Listener, Schemas
from bodhi_asgi.inference.source import Reading, Source


class CallReader:
    """Reads one call after the other. Each method returns whether it was one; if not, nothing was passed on."""

    def __init__(self, source: Source, schemas: Schemas, listener: Listener) -> None:
        self._json = JsonNotation(source, schemas, listener)
        self._named = NamedNotation(source, schemas, listener)
        self._marked = MarkedNotation(source, schemas, listener)
        self._python = PythonNotation(source, schemas, listener)
        self._gemma = GemmaNotation(source, schemas, listener)

    def call(self, form: CallForm) -> Reading[bool]:
        """Read one call, from behind its opening marker."""
        match form:
            case JsonCalls():
                return (yield from self._json.call(form))
            case NamedCalls():
                return (yield from self._named.call(form))
            case ParamCalls():
                return (yield from self._marked.call(form))
            case PythonCalls():
                return (yield from self._python.call())
            case GemmaCalls():
                return (yield from self._gemma.call(form))
