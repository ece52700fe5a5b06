"""From a family's notation of tool calls to a grammar: free text until a marker, then calls whose arguments hold.

The same table that answers are read by says what may be written. Where a call is required, the marker is forced;
elsewhere the model says what it likes until it opens a call itself. Control tokens stand in a grammar by their numbers,
which the model's own vocabulary knows, so that no text can pass for them.
"""

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from bodhi_asgi.engine.constraints.bare import at_root, check_whole, slashed, terminal_of
from bodhi_asgi.engine.constraints.grammar import lark_text
from bodhi_asgi.engine.constraints.schema import ENFORCED, Schema, guided, load_schema
from bodhi_asgi.engine.constraints.translate import ANSWER, Grammar, body_of
from bodhi_asgi.engine.errors import ConstraintInvalid
from bodhi_asgi.engine.families.kinds import is_text
from bodhi_asgi.engine.families.types import (
    Family,
    GemmaCalls,
    JsonCalls,
    NamedCalls,
    ParamCalls,
    PythonCalls,
    ToolSyntax,
)
from bodhi_asgi.messages.conversation import ToolSpec, ToolUse
from bodhi_asgi.messages.generation import Constraint

Spell: TypeAlias = Callable[[str], list[str | int]]
"""A marker as pieces of text and numbers of control tokens, in order."""

MAX_TOOLS_BYTES: Final = 256 * 1024
"""All schemas of a request's tools together."""

FREE: Final = r"/(.|\n)*/"
BLANK: Final = "blank?"
MOST_MARKS: Final = 4
"""Before an answer that is held to something."""

BARE: Final = {JsonCalls: "{", PythonCalls: r"\["}
IDS: Final = {"nine": "/[a-zA-Z0-9]{9}/", "any": "/[a-zA-Z0-9_-]{1,40}/"}
QUOTED: Final = r"/'([^'\\\n\r]|\\[\\'n])*'/"
KINDS: Final = {"string": "string", "integer": "number", "number": "number", "boolean": "boolean", "array": "array"}


def answer_grammar(
    family: Family,
    *,
    spell: Spell,
    opening: str = "",
    tools: Sequence[ToolSpec] = (),
    use: ToolUse | None = None,
    constraint: Constraint | None = None,
) -> Grammar:
    """What a whole answer may be: thoughts if the family has them, then a form, calls, or free text with calls.

    ``opening`` is what the prompt says of the answer already. Raises ConstraintInvalid for a schema that cannot be
    enforced, with its tool's place as ``param``.
    """
    return _Writer(family, spell).grammar(opening, tools, use or ToolUse(), constraint)


class _Writer:
    """Collects the rules of one grammar."""

    def __init__(self, family: Family, spell: Spell) -> None:
        self._family = family
        self._syntax: ToolSyntax = family.tools
        self._spell = spell
        # Text that is no call: where calls need no marker, it does not begin as one.
        bare = BARE.get(type(self._syntax.form), "") if self._syntax.is_bare else ""
        self._words = rf"([^ \n\t{bare}](.|\n)*)?" if bare else r"(.|\n)*"
        self._rules: list[str] = []
        self._grammars: list[dict[str, Any]] = []
        self._size = 0

    def grammar(self, opening: str, tools: Sequence[ToolSpec], use: ToolUse, constraint: Constraint | None) -> Grammar:
        before = self._before(opening)
        bodies = []
        if constraint is not None:
            self._grammars.append({"name": ANSWER, **body_of(constraint)})
            bodies.append(f"@{ANSWER}")
        if tools:
            size = sum(len(tool.parameters.encode("utf-8", "surrogatepass")) for tool in tools)
            if size > MAX_TOOLS_BYTES:
                raise ConstraintInvalid(
                    f"the schemas of 'tools' have {size} bytes; at most {MAX_TOOLS_BYTES} are accepted", param="tools"
                )
            sections = self._sections(tools, use, opening.strip())
            if use.required:
                bodies = [f"{self._marker(opener)} {rest}" for opener, rest in sections[:1]]
            elif constraint is not None:
                bodies += [f"{self._marker(opener)} {rest}" for opener, rest in sections]
            else:
                bodies += [*(self._led(opener, rest) for opener, rest in sections), self._plain(opening.strip())]
        self._rules.insert(0, f"start: {before} ({' | '.join(bodies)})")
        self._rules += ["free: " + FREE, r"blank: /[ \n\t]{1,16}/"]
        text = "\n".join(self._rules) + "\n"
        param = constraint.param if constraint is not None else "tools"
        return Grammar(json.dumps({"grammars": [{"lark_grammar": text}, *self._grammars]}), param)

    # -- before the answer itself

    def _before(self, opening: str) -> str:
        """Thoughts, to be closed where the prompt has opened them; and markers that nobody sees."""
        thinking = self._family.thinking
        # What begins like a call would keep the call from being read.
        inner = getattr(self._syntax.form, "open", "") or self._syntax.open
        dropped = [mark for mark in self._family.dropped if not inner or not mark.startswith(inner)]
        marks = [self._marker(mark.strip()) for mark in dropped]
        # They have an end: a model that likes them would never come to what is asked of it.
        marked = f"{BLANK} (({' | '.join(marks)}) {BLANK}){{0,{MOST_MARKS}}}" if marks else BLANK
        if thinking is None:
            return marked
        close = self._until(thinking.close.strip())
        if opening.strip().endswith(thinking.open.strip()):
            return f"{close} {marked}"
        return f"({self._marker(thinking.open.strip())} {close})? {marked}"

    def _plain(self, opening: str) -> str:
        """An answer in words: text, and the markers that stand around it. What calls alone begin with, it does not."""
        if opening and opening in self._family.openings:
            marks = [mark.removeprefix(opening) for mark in self._family.dropped if mark.startswith(opening)]
            return f"({' | '.join(map(self._marker, marks))}) free" if marks else "free"
        if self._syntax.is_bare:
            return f"/{self._words}/"
        marks = [self._marker(mark.strip()) for mark in self._family.dropped]
        return f"free (({' | '.join(marks)}) free)*" if marks else "free"

    def _until(self, end: str) -> str:
        """Any text up to ``end``, and that."""
        pieces = self._spell(end)
        if all(isinstance(piece, str) for piece in pieces):
            return self._rule("until", f"/(.|\\n)*{_expression(end)}/", options="[lazy]")
        return f"free {self._marker(end)}"

    # -- calls

    def _led(self, opener: str, rest: str) -> str:
        """Calls after free text. Where no control token opens them, the text ends where it says what opens them."""
        pieces = self._spell(opener)
        if not pieces or (self._syntax.is_bare and opener == self._syntax.open):
            return f"{self._marker(opener)} {rest}"
        if isinstance(pieces[0], int):
            return f"free {self._marker(opener)} {rest}"
        trigger = pieces[0].rstrip()
        lead = self._rule("lead", f"/{self._words}{_expression(trigger)}/", options="[lazy]")
        return f"{lead} {self._marker(opener[len(trigger) :])} {rest}"

    def _sections(self, tools: Sequence[ToolSpec], use: ToolUse, opening: str) -> list[tuple[str, str]]:
        """For each way to open calls, that text, and the grammar of the calls after it."""
        syntax, form = self._syntax, self._syntax.form
        names = use.names or tuple(tool.name for tool in tools)
        calls = [self._call(index, tool) for index, tool in enumerate(tools) if tool.name in names]
        call = self._rule("call", " | ".join(calls))
        inner = form.open if isinstance(form, NamedCalls | ParamCalls | GemmaCalls) else ""
        close, more = self._marker(syntax.close), ""
        if use.parallel and not self._family.one_call:
            opened = (syntax.open if syntax.per_call else "") + inner
            # Whether there is space between calls is a matter of the template.
            again = (
                self._marker(syntax.between + opened) if syntax.between.strip() else f"{BLANK} {self._marker(opened)}"
            )
            more = f"({again} {call} {close})*" if syntax.per_call else f"({again} {call})*"
        rest = f"{call} {close} {more}" if syntax.per_call else f"{call} {more} {close}"
        openers = [marker + inner for marker in (syntax.open, *syntax.aliases)]
        if isinstance(form, NamedCalls) and not syntax.open:
            openers += form.aliases
        if opening and opening == openers[0].strip():
            openers = [""]
        return [(opener, rest) for opener in dict.fromkeys(openers)]

    def _call(self, index: int, tool: ToolSpec) -> str:
        param = _param(index)
        schema = load_schema(tool.parameters, param)
        schema.setdefault("type", "object")
        if isinstance(self._syntax.form, ParamCalls | PythonCalls | GemmaCalls):
            schema = at_root(schema)
            check_whole(schema, param)
        match self._syntax.form:
            case JsonCalls() as form:
                return self._json_call(form, index, tool.name, schema)
            case NamedCalls() as form:
                lead, mid = (self._filled(text, index="/[0-9]{1,3}/") for text in (form.lead, form.mid))
                arguments = self._schema(f"args_{index}", schema)
                gaps = f"({' | '.join(map(self._marker, form.gaps))})?" if form.gaps else ""
                return f"{lead} {lark_text(tool.name)} {gaps} {mid} {arguments} {self._marker(form.close)}"
            case ParamCalls() as form:
                return self._param_call(form, index, tool.name, schema)
            case PythonCalls():
                items = [
                    (f"{lark_text(key + '=')} {self._argument(index, number, schema, inner)}", needed)
                    for number, (key, inner, needed) in enumerate(_properties(schema))
                ]
                return f"{lark_text(tool.name)} {lark_text('(')} {self._listing(items, ', ')} {lark_text(')')}"
            case GemmaCalls() as form:
                return f"{lark_text(tool.name)} {self._gemma(form, f'args_{index}', schema, schema, param)}"

    def _json_call(self, form: JsonCalls, index: int, name: str, schema: Schema) -> str:
        arguments = self._schema(f"args_{index}", schema)
        shown = lark_text(json.dumps(name))
        if form.name_is_key:
            return f'"{{" {BLANK} {shown} {BLANK} ":" {BLANK} {arguments} {BLANK} "}}"'
        comma = f'{BLANK} "," {BLANK}'
        members = f"{_key(form.name_key)} {shown} {comma} {_key(form.arguments_key)} {arguments}"
        if form.id_key:
            own = f'{_key(form.id_key)} "\\"" {IDS[self._syntax.ids]} "\\""'
            members = f"({own} {comma})? {members} ({comma} {own})?"
        return f'"{{" {BLANK} {members} {BLANK} "}}"'

    def _param_call(self, form: ParamCalls, index: int, name: str, schema: Schema) -> str:
        param = _param(index)
        number = "/[0-9]{1,3}/"
        parts = [lark_text(name), self._filled(form.name_close, index=number)]
        for place, (key, inner, needed) in enumerate(_properties(schema)):
            is_bare = is_text(inner)
            kind = "string" if is_bare else inner.get("type")
            facts = {"key": key, "type": KINDS.get(str(kind), "object"), "is_string": json.dumps(is_bare)}
            opened = self._marker(_fill(form.key_open + key + form.key_close + form.value_open, facts))
            close = _fill(form.value_close, facts)
            if is_bare:
                value = self._bare(inner, close, param)
            else:
                value = f"{self._property(index, place, schema, inner)} {self._marker(close)}"
            parts.append(f"({opened} {value}){'' if needed else '?'}")
        return " ".join([*parts, self._marker(form.close)])

    def _bare(self, schema: Schema, close: str, param: str) -> str:
        """A string without quotes, up to the marker that closes it."""
        is_text = all(isinstance(piece, str) for piece in self._spell(close))
        terminal = terminal_of(schema, param)
        if not is_text:
            return f"{'free' if terminal is None else self._rule('BARE', terminal)} {self._marker(close)}"
        if terminal is None:
            return self._rule("bare", f"/(.|\\n)*{_expression(close)}/", options="[lazy]")
        # One terminal with the marker, and no text that holds the marker: it would end there for whoever reads it.
        other = f"~/(.|\\n)*{_expression(close.strip())}(.|\\n)*/"
        whole = self._rule("BARE", f"({terminal} & {other}) {lark_text(close)}")
        return self._rule("bare", whole, options="[lazy]")

    def _gemma(self, form: GemmaCalls, name: str, root: Schema, schema: Schema, param: str) -> str:
        kind = schema.get("type")
        if kind == "object" and "properties" in schema:
            items = [
                (f"{lark_text(key + ':')} {self._gemma(form, f'{name}_{number}', root, inner, param)}", needed)
                for number, (key, inner, needed) in enumerate(_properties(schema))
            ]
            return f"{lark_text('{')} {self._listing(items, ',')} {lark_text('}')}"
        if kind == "array" and isinstance(schema.get("items"), dict):
            item = self._rule("item", self._gemma(form, f"{name}_i", root, schema["items"], param))
            return f'"[" ({item} ("," {item})*)? "]"'
        if is_text(schema):
            return f"{self._marker(form.quote)} {self._bare(schema, form.quote, param)}"
        return self._schema(name, _rooted(root, schema))

    # -- pieces

    def _argument(self, tool: int, number: int, root: Schema, schema: Schema) -> str:
        """A value as JSON; text that may say anything also in the quotes that Python prefers."""
        value = self._property(tool, number, root, schema)
        is_free = schema.get("type") == "string" and not ENFORCED & (schema.keys() - {"type"})
        return f"({value} | {QUOTED})" if is_free else value

    def _property(self, tool: int, number: int, root: Schema, schema: Schema) -> str:
        return self._schema(f"arg_{tool}_{number}", _rooted(root, schema))

    def _schema(self, name: str, schema: Schema) -> str:
        self._size += len(json.dumps(schema))
        if self._size > MAX_TOOLS_BYTES:
            raise ConstraintInvalid(
                f"the schemas of 'tools' have more than {MAX_TOOLS_BYTES} bytes, with what they refer to", param="tools"
            )
        self._grammars.append({"name": name, "json_schema": guided(schema)})
        return f"@{name}"

    def _listing(self, items: Sequence[tuple[str, bool]], separator: str) -> str:
        """Items in their order, some of which may be left out, with a separator between those that are there."""
        first, rest = '""', '""'
        for item, needed in reversed(items):
            first, rest = (
                self._rule("first", f"{item} {rest}" + ("" if needed else f" | {first}")),
                self._rule("rest", f"{lark_text(separator)} {item} {rest}" + ("" if needed else f" | {rest}")),
            )
        return first

    def _filled(self, marker: str, *, index: str) -> str:
        """A marker whose placeholders the model fills."""
        parts = re.split(r"(\{index\}|\{id\})", marker)
        known = {"{index}": index, "{id}": IDS[self._syntax.ids]}
        return " ".join(known.get(part) or self._marker(part) for part in parts if part)

    def _marker(self, text: str) -> str:
        return " ".join(lark_text(piece) if isinstance(piece, str) else f"<[{piece}]>" for piece in self._spell(text))

    def _rule(self, name: str, body: str, *, options: str = "") -> str:
        full = f"{name}_{len(self._rules)}"
        self._rules.append(f"{full}{options}: {body}")
        return full


def _properties(schema: Schema) -> Iterable[tuple[str, Schema, bool]]:
    properties = schema.get("properties")
    required = schema.get("required") or ()
    for key, inner in (properties if isinstance(properties, dict) else {}).items():
        yield key, inner if isinstance(inner, dict) else {}, key in required


def _rooted(root: Schema, schema: Schema) -> Schema:
    """A part of a schema with the definitions that it may refer to."""
    if '"$ref"' not in json.dumps(schema):
        return schema
    return {**schema, **{name: root[name] for name in ("$defs", "definitions") if name in root}}


def _param(index: int) -> str:
    return f"tools.{index}.function.parameters"


def _key(name: str) -> str:
    return f'{lark_text(json.dumps(name))} {BLANK} ":" {BLANK}'


def _fill(marker: str, facts: dict[str, str]) -> str:
    for name, value in facts.items():
        marker = marker.replace(f"{{{name}}}", value)
    return marker


def _expression(text: str) -> str:
    """``text`` in a regular expression of a Lark grammar."""
    return slashed(re.escape(text).replace("\n", "n"))
