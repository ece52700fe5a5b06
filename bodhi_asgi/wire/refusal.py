"""Refusing what a dialect has and this version does not do: by name, and never by ignoring it."""

from collections.abc import Mapping, Set
from typing import Any

from bodhi_asgi.errors import Invalid
from bodhi_asgi.types import JSONObject


class ParameterUnsupported(Invalid):
    """The parameter belongs to the dialect and is not supported; it is refused, never silently dropped."""

    code = "unsupported_parameter"
    openai_code = "unsupported_parameter"


def without_neutral(body: JSONObject, neutral: Mapping[str, tuple[Any, ...]], unsupported: Set[str]) -> JSONObject:
    """``body`` without parameters that are null or ask for nothing.

    ``neutral`` has the parameters that are not acted on, with the values that ask for nothing; ``unsupported`` those
    that no value of can be honoured. Raises ParameterUnsupported.
    """
    kept: JSONObject = {}
    for name, value in body.items():
        if value is None or (name in neutral and _is_neutral(value, neutral[name])):
            continue
        if name in neutral or name in unsupported:
            accepted = " or ".join(repr(value) for value in neutral.get(name, ()))
            hint = f"only {accepted} is accepted" if accepted else "leave it out"
            raise ParameterUnsupported(f"'{name}' is not supported here; {hint}", param=name)
        kept[name] = value
    return kept


def _is_neutral(value: object, neutral: tuple[object, ...]) -> bool:
    # 1 == True in Python, and not in JSON.
    return any(type(value) is type(candidate) and value == candidate for candidate in neutral)
