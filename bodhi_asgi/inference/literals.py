"""Values of arguments as families write them outside of JSON, and what they are in JSON.

A bare word is what the tool's schema says it is: ``5`` is a number for a parameter that takes numbers, and text for one
that takes text.
"""

import ast
import json
from collections.abc import Mapping, Set
from typing import Any, Final

KINDS: Final[Mapping[type, frozenset[str]]] = {
    dict: frozenset({"object"}),
    list: frozenset({"array"}),
    str: frozenset({"string"}),
    bool: frozenset({"boolean"}),
    int: frozenset({"integer", "number"}),
    float: frozenset({"number"}),
    type(None): frozenset({"null"}),
}


def types_of(schema: Any) -> frozenset[str]:
    """The JSON types that a parameter's schema allows; empty when it does not say."""
    if not isinstance(schema, Mapping):
        return frozenset()
    declared = schema.get("type")
    if isinstance(declared, str):
        return frozenset({declared})
    if isinstance(declared, list):
        return frozenset(kind for kind in declared if isinstance(kind, str))
    values = schema.get("enum") if "enum" in schema else [schema["const"]] if "const" in schema else []
    if isinstance(values, list) and values:
        return frozenset().union(*(KINDS[type(value)] for value in values if type(value) in KINDS))
    options = schema.get("anyOf") or schema.get("oneOf")
    if isinstance(options, list):
        return frozenset().union(*map(types_of, options))
    return frozenset()


def json_of_word(text: str, kinds: Set[str]) -> str:
    """A bare value as JSON: itself, if it is JSON of one of ``kinds`` (empty: of any kind), else a string."""
    if kinds != {"string"}:
        value, is_json = _parsed(text)
        if is_json and (not kinds or not kinds.isdisjoint(KINDS[type(value)])):
            return text.strip()
        lowered = {"True": "true", "False": "false", "None": "null"}.get(text.strip())
        if lowered is not None and "string" not in kinds:
            return lowered
    return _dumped(text)


def json_of_python(text: str) -> str:
    """A Python literal as JSON. What is neither Python nor JSON is a string."""
    try:
        value = ast.literal_eval(text)
        return _dumped(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        _, is_json = _parsed(text)
        return text if is_json else _dumped(text)


def _parsed(text: str) -> tuple[Any, bool]:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # the reader takes NaN and 1e999, at any depth
    except (ValueError, RecursionError):
        return None, False
    return value, True


def _dumped(value: Any) -> str:
    """JSON text; escaped where a literal spells half a surrogate pair, which is no text as it stands."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text
