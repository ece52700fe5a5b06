"""Writes tool calls in a family's own form: for templates that cannot, and as the example that shows a model how."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bodhi_asgi.engine.families.types import (
    GemmaCalls,
    JsonCalls,
    NamedCalls,
    ParamCalls,
    PythonCalls,
    ToolSyntax,
)

KINDS: Final[Mapping[type, str]] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    dict: "object",
    list: "array",
    type(None): "null",
}


@dataclass(frozen=True, slots=True)
class WrittenCall:
    """A call to write. ``arguments`` are plain JSON data."""

    id: str
    name: str
    arguments: Mapping[str, Any]


def write_calls(syntax: ToolSyntax, calls: Sequence[WrittenCall]) -> str:
    """The calls of one turn as the family's models write them."""
    written = [_call(syntax, index, call) for index, call in enumerate(calls)]
    if syntax.per_call:
        return syntax.between.join(f"{syntax.open}{call}{syntax.close}" for call in written)
    return f"{syntax.open}{syntax.between.join(written)}{syntax.close}"


def _call(syntax: ToolSyntax, index: int, call: WrittenCall) -> str:
    match syntax.form:
        case JsonCalls() as form:
            return _dumps(_object(form, call))
        case NamedCalls() as form:
            lead, mid = (filled(text, id=call.id, index=index) for text in (form.lead, form.mid))
            return f"{form.open}{lead}{call.name}{mid}{_dumps(call.arguments)}{form.close}"
        case ParamCalls() as form:
            return _params(form, index, call)
        case PythonCalls():
            return f"{call.name}({', '.join(f'{key}={_python(value)}' for key, value in call.arguments.items())})"
        case GemmaCalls() as form:
            return f"{form.open}{call.name}{_gemma(form, dict(call.arguments))}"


def _object(form: JsonCalls, call: WrittenCall) -> dict[str, Any]:
    if form.name_is_key:
        return {call.name: call.arguments}
    written = {form.name_key: call.name, form.arguments_key: call.arguments}
    return written | ({form.id_key: call.id} if form.id_key else {})


def _params(form: ParamCalls, index: int, call: WrittenCall) -> str:
    text = f"{form.open}{call.name}{filled(form.name_close, index=index + 1)}"
    for key, value in call.arguments.items():
        facts = {"key": key, "type": KINDS[type(value)], "is_string": _dumps(isinstance(value, str))}
        shown = value if isinstance(value, str) else _dumps(value)
        text += f"{form.key_open}{key}{form.key_close}{filled(form.value_open, **facts)}{shown}"
        text += filled(form.value_close, **facts)
    return text + form.close


def _python(value: Any) -> str:
    # Not repr, which would escape the marks of a fence.
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_dumps(key)}: {_python(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_python, value)) + "]"
    return _dumps(value) if isinstance(value, str) else repr(value)


def _gemma(form: GemmaCalls, value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_gemma(form, item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_gemma(form, item) for item in value) + "]"
    return f"{form.quote}{value}{form.quote}" if isinstance(value, str) else _dumps(value)


def filled(marker: str, **facts: object) -> str:
    """A marker with its placeholders filled."""
    for name, value in facts.items():
        marker = marker.replace(f"{{{name}}}", str(value))
    return marker


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
