"""What a schema says of a parameter's type: by it a bare word is written, and read, as text or as JSON.

Writer and reader ask the same, because where they differ a call says something else than what its schema allows.
"""

from collections.abc import Mapping
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


def is_text(schema: Any) -> bool:
    """Whether a parameter can be nothing but text, and so stands without quotes where a family writes it so."""
    return types_of(schema) == {"string"}
