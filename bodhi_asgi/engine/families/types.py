"""What is known of a family: the text that marks its thoughts and its tool calls, as data.

Markers are given with the white space that the family's own template writes; a reader looks for them without it. The
stream parser, the constraint and the rendering of earlier calls are all derived from these values.
"""

from dataclasses import dataclass, fields
from typing import Final, Literal, TypeAlias

CallIds: TypeAlias = Literal["any", "nine"]
"""``any`` id will do, or templates insist on ``nine`` letters and digits."""

MAX_GAP_CHARS: Final = 120
"""The most text that may stand between a marker, a call's name and its arguments."""


@dataclass(frozen=True, slots=True)
class Thinking:
    """Thoughts stand between ``open`` and ``close``. A template may write ``open`` itself, at the prompt's end.

    Where an answer has begun to speak, ``open`` is a part of what it says, unless thoughts may stand ``anywhere``.
    """

    open: str
    close: str
    anywhere: bool = False


@dataclass(frozen=True, slots=True)
class JsonCalls:
    """A call is a JSON object: ``{"name": …, "arguments": …}``.

    With ``is_list`` the calls of a turn stand in one list, between the section's markers. With ``name_is_key`` the
    object has one member, whose key is the name and whose value the arguments.
    """

    name_key: str = "name"
    arguments_key: str = "arguments"
    id_key: str | None = None
    is_list: bool = False
    name_is_key: bool = False


@dataclass(frozen=True, slots=True)
class NamedCalls:
    """A call's name stands in the text, its arguments are a JSON object.

    ``open lead name mid {…} close``. What ``lead`` or ``mid`` is preceded by, up to :data:`MAX_GAP_CHARS`, is skipped.
    ``mid`` may hold ``{index}``, the call's number from 0, and both ``{id}``. ``aliases`` are other forms of ``open``,
    ``gaps`` what models write between a name and ``mid``.
    """

    open: str = ""
    lead: str = ""
    mid: str = ""
    close: str = ""
    aliases: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ParamCalls:
    """A call's name and each argument stand between markers, as in XML.

    ``open name name_close (key_open key key_close value_open value value_close)* close``. Strings are written bare and
    everything else as JSON. With ``has_newlines`` a value stands on lines of its own. Markers may hold ``{index}``, the
    call's number from 1, and those of an argument its ``{key}``, ``{type}`` and ``{is_string}``.
    """

    open: str
    name_close: str
    key_open: str
    key_close: str
    value_close: str
    close: str
    value_open: str = ""
    has_newlines: bool = False


@dataclass(frozen=True, slots=True)
class PythonCalls:
    """Calls as Python writes them, in a list: ``[get_weather(city='Paris'), add(a=1, b=2)]``."""


@dataclass(frozen=True, slots=True)
class GemmaCalls:
    """Gemma 4's own notation: ``call:get_weather{city:<|"|>Paris<|"|>}``; keys are bare, strings in ``quote``."""

    open: str = "call:"
    quote: str = '<|"|>'


CallForm: TypeAlias = JsonCalls | NamedCalls | ParamCalls | PythonCalls | GemmaCalls


@dataclass(frozen=True, slots=True)
class ToolSyntax:
    """A turn with calls is ``open call (between call)* close``; with ``per_call`` every call has its own pair.

    A family without ``open`` begins with the form's own. ``aliases`` are other openings that its models are known to
    write. ``is_bare``: calls may also stand without any marker, where the answer begins.
    """

    form: CallForm
    open: str = ""
    close: str = ""
    between: str = ""
    per_call: bool = False
    aliases: tuple[str, ...] = ()
    is_bare: bool = False
    ids: CallIds = "any"


@dataclass(frozen=True, slots=True)
class Family:
    """One family of models.

    ``dropped`` are markers around plain answers, which nobody should see. ``openings`` are markers that, at the end of
    a prompt, belong to the answer. ``tools_variable`` is what the template calls its tools. Of earlier calls, templates
    may take the arguments as JSON text only (``arguments_as_text``), one call per turn (``one_call``), and none in a
    turn that says something too (``silent_calls``).
    """

    name: str
    tools: ToolSyntax
    thinking: Thinking | None = None
    dropped: tuple[str, ...] = ()
    openings: tuple[str, ...] = ()
    tools_variable: str = "tools"
    arguments_as_text: bool = False
    one_call: bool = False
    silent_calls: bool = False
    is_generic: bool = False

    @property
    def openers(self) -> tuple[str, ...]:
        """The texts with which calls may begin, without the bracket of a list, unless that leaves a plain word."""
        syntax, form = self.tools, self.tools.form
        found = [_without_bracket(marker) for marker in (syntax.open, *syntax.aliases)]
        if isinstance(form, NamedCalls):
            found += [form.open, *form.aliases]
        elif isinstance(form, ParamCalls):
            found.append(form.open)
        return tuple(dict.fromkeys(marker for marker in found if marker.strip()))

    @property
    def markers(self) -> tuple[str, ...]:
        """Every text that marks something in an answer, and so has to arrive where answers are read."""
        syntax, form = self.tools, self.tools.form
        own = [value for value in vars_of(form) if isinstance(value, str)]
        aliases = (*form.aliases, *form.gaps) if isinstance(form, NamedCalls) else ()
        thinking = (self.thinking.open, self.thinking.close) if self.thinking else ()
        texts = (*self.openers, syntax.close, *own, *aliases, *thinking, *self.dropped, *self.openings)
        return tuple(dict.fromkeys(text for text in texts if text.strip()))

    def opening(self, tail: str) -> str:
        """What the end of a prompt says of the answer already; nothing, as a rule."""
        end = tail.rstrip()
        own = (self.thinking.open,) if self.thinking else ()
        return next((marker for marker in (*own, *self.openings) if end.endswith(marker.strip())), "")


def vars_of(form: CallForm) -> list[object]:
    """The values of a form's fields."""
    return [getattr(form, each.name) for each in fields(form)]


def _without_bracket(marker: str) -> str:
    bare = marker.rstrip(" \n[")
    return marker.rstrip() if bare.isidentifier() else bare
