"""Texts that a family writes without quotes: what their schema says of them, as terminals of a Lark grammar.

JSON knows where a string ends and llguidance what may be in it; of a bare text both have to be said here.
"""

from typing import Any, Final

from bodhi_asgi.engine.constraints.grammar import lark_text
from bodhi_asgi.engine.constraints.schema import Schema
from bodhi_asgi.engine.errors import ConstraintInvalid

DATE: Final = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])"
TIME: Final = r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
BYTE: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
LABEL: Final = r"[a-zA-Z0-9]([a-zA-Z0-9-]{0,30}[a-zA-Z0-9])?"
FORMATS: Final = {
    "date": DATE,
    "time": TIME,
    "date-time": f"{DATE}T{TIME}",
    "duration": r"P([0-9]{1,9}W|[0-9]{1,9}D(T[0-9]{1,9}H)?|T[0-9]{1,9}[HMS])",
    "email": rf"[a-zA-Z0-9_+-]{{1,64}}(\.[a-zA-Z0-9_+-]{{1,20}}){{0,3}}@{LABEL}(\.{LABEL}){{1,3}}",
    "hostname": rf"{LABEL}(\.{LABEL}){{0,4}}",
    "ipv4": rf"{BYTE}(\.{BYTE}){{3}}",
    "ipv6": r"([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}",
    "uuid": r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
    "uri": r"[a-z][a-z0-9+.-]{0,20}:(\/\/[a-zA-Z0-9.-]{1,200})?[a-zA-Z0-9._~\/?#@!$&'()*+,;=:-]{0,2000}",
}
"""Texts that are of a format; of some formats not every text. February has 28 days here, in every year."""

WHOLE: Final = frozenset({"type", "properties", "required", "additionalProperties", "$defs", "definitions"})
"""What the arguments of a call may be held to as a whole where each is written by itself."""


def choices_of(schema: Schema) -> list[str] | None:
    """The texts of an enumeration."""
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    return [value for value in values if isinstance(value, str)] if isinstance(values, list) else None


def terminal_of(schema: Schema, param: str) -> str | None:
    """A terminal of the texts that a schema allows; None where any will do. Raises ConstraintInvalid."""
    parts: list[str] = []
    choices = choices_of(schema)
    if choices is not None:
        if not choices:
            raise ConstraintInvalid(f"'{param}' has an enumeration of texts without a text", param=param)
        parts.append(f"({' | '.join(map(lark_text, choices))})")
    if isinstance(pattern := schema.get("pattern"), str):
        # As searched for: what an anchor does not hold may stand around it.
        begin = "" if pattern.startswith("^") else r"(.|\n)*"
        is_ended = pattern.endswith("$") and not pattern.endswith(r"\$")
        end = "" if is_ended else r"(.|\n)*"
        inner = pattern.removeprefix("^").removesuffix("$" if is_ended else "")
        parts.append(f"/{begin}({slashed(inner)}){end}/")
    if (form := schema.get("format")) is not None:
        if form not in FORMATS:
            raise ConstraintInvalid(f"'{param}' has the format {str(form)[:40]!r}, which is not known", param=param)
        parts.append(f"/{FORMATS[form]}/")
    for name in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(name), list):
            terminals = [terminal_of(option, param) for option in options if isinstance(option, dict)]
            if all(terminal is not None for terminal in terminals):
                parts.append(f"({' | '.join(f'({terminal})' for terminal in terminals)})")
    if "minLength" in schema or "maxLength" in schema:
        parts.append(rf"/(.|\n){{{_count(schema.get('minLength', 0))},{_count(schema.get('maxLength', ''))}}}/")
    return " & ".join(parts) or None


def at_root(schema: Schema) -> Schema:
    """The schema itself where its root only refers to one of its definitions, as those of recursive models do."""
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return schema
    target: Any = schema
    for step in reference.split("/")[1:]:
        target = target.get(step) if isinstance(target, dict) else None
    if not isinstance(target, dict) or "$ref" in target:
        return schema
    return {**{name: value for name, value in schema.items() if name != "$ref"}, **target}


def check_whole(schema: Schema, param: str) -> None:
    """Refuse what cannot be enforced where each argument is written by itself. Raises ConstraintInvalid."""
    for name in schema:
        is_said = name in WHOLE or name.startswith("x-") or name in ("title", "description", "$schema", "$id")
        if not is_said:
            raise ConstraintInvalid(
                f"'{param}' uses '{name}' for the arguments as a whole, which cannot be enforced in the way in which "
                "models of this family write calls; use it within a property",
                param=param,
            )
    properties, required = schema.get("properties"), schema.get("required")
    known = properties if isinstance(properties, dict) else {}
    for name in required if isinstance(required, list) else ():
        if name not in known:
            raise ConstraintInvalid(f"'{param}' requires {str(name)[:60]!r}, which is no property of it", param=param)


def slashed(pattern: str) -> str:
    """A pattern between slashes: those in it are escaped, those that are escaped already left as they are."""
    written, is_escaped = [], False
    for char in pattern:
        written.append(r"\/" if char == "/" and not is_escaped else r"\n" if char == "\n" else char)
        is_escaped = char == "\\" and not is_escaped
    return "".join(written)


def _count(value: Any) -> str:
    return str(int(value)) if isinstance(value, int | float) else ""
