"""Takes a model's raw text apart as it comes: what it says, what it thinks, and which tools it calls.

No character is lost: what turns out to be no call is said as it stands. Only white space around thoughts and calls is
left out, which families write as decoration.
"""

import secrets
import string
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bodhi_asgi.engine.families.table import GENERIC
from bodhi_asgi.engine.families.types import Family, GemmaCalls, JsonCalls, NamedCalls, ParamCalls, PythonCalls
from bodhi_asgi.inference.calls import CallReader
from bodhi_asgi.inference.notation import Schemas
from bodhi_asgi.inference.source import SPACE, Reading, Source
from bodhi_asgi.messages.answers import Delta, FinishReason, ToolCallDelta

ID_LETTERS: Final = string.ascii_letters + string.digits


class SpeechReader:
    """Reads one answer. ``schemas`` are those of the offered tools by name; without tools nothing is a call, and
    without a family everything is text.
    """

    def __init__(self, family: Family | None, schemas: Schemas) -> None:
        self._is_plain = family is None or not (schemas or family.thinking or family.dropped)
        family = family or GENERIC
        self._thinking = family.thinking
        self._syntax = family.tools
        self._ids = family.tools.ids
        self._source = Source()
        self._calls = CallReader(self._source, schemas, self)
        self._has_tools = bool(schemas)
        self._dropped = family.dropped
        self._openers = family.openers if schemas else ()
        self._markers = (
            *(marker for marker in family.dropped),
            *((self._thinking.open.strip(),) if self._thinking else ()),
            *self._openers,
        )
        self._has_spoken = False
        self._space = ""
        self._said: list[str] = []
        self._thought: list[str] = []
        self._call_pieces: list[ToolCallDelta] = []
        self._count = 0
        self._reading: Reading[None] | None = self._speech()
        self._go_on()

    @property
    def has_calls(self) -> bool:
        """Whether the model has called a tool."""
        return self._count > 0

    @property
    def held(self) -> int:
        """How many characters of calls are kept, because what they mean is not told yet."""
        return len(self._source.text)

    def read(self, delta: Delta) -> Delta:
        """The same delta with its raw text taken apart; the last one gets what was held back, and its reason."""
        if self._is_plain:
            return delta
        self._source.text += delta.opening + delta.text
        self._source.is_over = delta.finish is not None
        if self._source.left or self._source.is_over:
            self._go_on()
        said, self._said = "".join(self._said), []
        thought, self._thought = "".join(self._thought), []
        pieces, self._call_pieces = _merged(self._call_pieces), []
        finish = delta.finish
        if finish is FinishReason.STOP and self.has_calls:
            finish = FinishReason.TOOL_CALLS
        return replace(delta, text=said, opening="", reasoning=thought, tool_calls=pieces, finish=finish)

    # -- what the reader of calls has to say

    def begin(self, name: str) -> None:
        self._space = ""
        self._call_pieces.append(ToolCallDelta(self._count, self._new_id(), name))
        self._count += 1

    def argue(self, arguments: str) -> None:
        if arguments:
            self._call_pieces.append(ToolCallDelta(self._count - 1, arguments=arguments))

    # -- reading

    def _go_on(self) -> None:
        if self._reading is not None:
            try:
                next(self._reading)
            except StopIteration:
                self._reading = None

    def _speech(self) -> Reading[None]:
        source = self._source
        if self._has_tools and self._syntax.is_bare:
            yield from self._bare()
        while True:
            marker = yield from source.until(self._markers, self._say)
            if marker is None:
                break
            if marker in self._openers:
                yield from self._marked(marker)
            elif self._thinking is not None and marker == self._thinking.open.strip():
                yield from self._think(marker)
        if not self.has_calls:
            self._said.append(self._space)

    def _say(self, text: str) -> None:
        """Say text, but white space only when more than that follows: it may belong to a call."""
        stripped = text.rstrip(SPACE) if self._has_tools else text
        if stripped:
            self._said.append(self._space + stripped)
            self._has_spoken = self._has_spoken or not stripped.isspace()
            self._space = ""
        self._space += text[len(stripped) :]

    def _think(self, marker: str) -> Reading[None]:
        thinking = self._thinking
        assert thinking is not None
        if self._has_spoken and not thinking.anywhere:
            self._say(marker)
            return
        self._space = ""
        yield from self._source.skip_space()
        held: list[str] = [""]

        def think(text: str) -> None:
            stripped = text.rstrip(SPACE)
            if stripped:
                self._thought.append(held[0] + stripped)
                held[0] = ""
            held[0] += text[len(stripped) :]

        found = yield from self._source.until((thinking.close.strip(),), think)
        if found is None:
            self._thought.append(held[0])
        else:
            yield from self._source.skip_space()

    def _bare(self) -> Reading[None]:
        """Calls without a marker, where the answer begins."""
        source = self._source
        begin = source.place
        yield from source.skip_space()
        if isinstance(self._syntax.form, PythonCalls):
            is_call = yield from source.take("[")
        else:
            is_call = (yield from source.peek()) == "{"
        if not (is_call and (yield from self._section())):
            source.place = begin

    def _marked(self, marker: str) -> Reading[None]:
        """Calls behind a marker, or the marker as it stands when there are none."""
        source = self._source
        begin = source.place
        syntax = self._syntax
        form = syntax.form
        own = (form.open, *form.aliases) if isinstance(form, NamedCalls) else ()
        if marker not in own and not (isinstance(form, ParamCalls) and marker == form.open):
            yield from source.skip_space()
            if isinstance(syntax.form, JsonCalls | PythonCalls):
                yield from source.take("[")
                yield from source.skip_space()
            yield from self._take_open()
        if not (yield from self._section()):
            source.place = begin
            self._say(marker)

    def _section(self) -> Reading[bool]:
        """One call and those that follow it. False when there was none."""
        source = self._source
        if not (yield from self._calls.call(self._syntax.form)):
            return False
        self._has_spoken = False
        while True:
            end = source.place
            yield from source.skip_space()
            if (yield from self._take_close()):
                return True
            yield from source.take("," if not isinstance(self._syntax.form, JsonCalls) else self._separator())
            yield from source.skip_space()
            if not (yield from self._follows()) or not (yield from self._calls.call(self._syntax.form)):
                source.place = end
                return True

    def _separator(self) -> str:
        return ";" if self._syntax.between.strip() == ";" else ","

    def _follows(self) -> Reading[bool]:
        """Whether another call may begin here; reads over what opens it."""
        match self._syntax.form:
            case JsonCalls():
                return (yield from self._source.peek()) == "{"
            case PythonCalls():
                return bool((yield from self._source.peek()) not in ("", "]"))
            case GemmaCalls():
                return (yield from self._source.peek()) == "c"
            case NamedCalls() | ParamCalls():
                return (yield from self._take_open())

    def _take_open(self) -> Reading[bool]:
        form = self._syntax.form
        opening = form.open.strip() if isinstance(form, NamedCalls | ParamCalls) else ""
        return bool(opening) and (yield from self._source.take(opening))

    def _take_close(self) -> Reading[bool]:
        close = self._syntax.close
        source = self._source
        begin = source.place
        if isinstance(self._syntax.form, JsonCalls | PythonCalls) and "]" in close:
            yield from source.take("]")
            yield from source.skip_space()
            close = close.lstrip(" \n]")
            if not close:
                return source.place > begin
        if close.strip() and (yield from source.take(close.strip())):
            return True
        source.place = begin
        return False

    def _new_id(self) -> str:
        letters = "".join(secrets.choice(ID_LETTERS) for _ in range(9 if self._ids == "nine" else 24))
        return letters if self._ids == "nine" else f"call_{letters}"


def _merged(pieces: Sequence[ToolCallDelta]) -> tuple[ToolCallDelta, ...]:
    """Pieces of one call that came together, in one."""
    merged: list[ToolCallDelta] = []
    for piece in pieces:
        if merged and merged[-1].index == piece.index and piece.name is None:
            merged[-1] = replace(merged[-1], arguments=merged[-1].arguments + piece.arguments)
        else:
            merged.append(piece)
    return tuple(merged)
