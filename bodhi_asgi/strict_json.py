"""A JSON object from untrusted bytes, or one clear refusal.

RFC 8259 leaves several things to the reader that have been used against readers: duplicate keys, numbers beyond any
type, lone surrogates, depth. Here each of them is an error that says what and where; nothing is repaired or guessed.
"""

import json
import math
from typing import Any, Final, NoReturn

from bodhi_asgi.errors import Invalid
from bodhi_asgi.types import INT64_MAX, JSON, JSONObject

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 20


class JSONInvalid(Invalid):
    """The body is not one strict JSON object."""

    code = "json_rejection_error"
    openai_code = "invalid_json"


def load_object(body: bytes, *, max_depth: int = MAX_DEPTH) -> JSONObject:
    """The object in ``body``: UTF-8 without a byte order mark, finite numbers, integers of 64 bits, unique keys.

    Raises :class:`JSONInvalid`. The size of ``body`` is limited by whoever read it.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise JSONInvalid(f"the body is not UTF-8: byte {error.start} cannot be read") from None
    if text.startswith("\ufeff"):
        raise JSONInvalid("the body begins with a byte order mark; send plain UTF-8")
    if not text.strip():
        raise JSONInvalid("the body is empty; a JSON object is expected")
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise JSONInvalid(
            f"the body is not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}"
        ) from None
    except RecursionError:
        raise JSONInvalid(f"the body is nested deeper than {max_depth} levels") from None
    if not isinstance(value, dict):
        raise JSONInvalid(f"the body is {_name(value)}; a JSON object is expected")
    # A surrogate can only come from an escape, so most bodies are spared the check.
    _check(value, max_depth, with_text="\\u" in text)
    return value


def _check(root: JSONObject, max_depth: int, *, with_text: bool) -> None:
    level: list[JSON] = [root]
    for _ in range(max_depth):
        inner: list[JSON] = []
        for value in level:
            if isinstance(value, dict):
                inner.extend(value.values())
                if with_text:
                    inner.extend(value)
            elif isinstance(value, list):
                inner.extend(value)
            elif with_text and isinstance(value, str):
                _check_text(value)
        if not inner:
            return
        level = inner
    if any(isinstance(value, dict | list) for value in level):
        raise JSONInvalid(f"the body is nested deeper than {max_depth} levels")
    if with_text:
        for value in level:
            if isinstance(value, str):
                _check_text(value)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise JSONInvalid(f"the body has a lone surrogate \\u{ord(text[error.start]):04x} in a string") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise JSONInvalid(f"the key {name[:60]!r} stands twice in one object", param=name[:60])
            seen.add(name)
    return value


def _integer(digits: str) -> int:
    if len(digits) <= MAX_DIGITS:
        value = int(digits)
        if -INT64_MAX - 1 <= value <= INT64_MAX:
            return value
    raise JSONInvalid(f"the integer {digits[:30]} does not fit 64 bits")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise JSONInvalid(f"the number {digits[:30]} is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise JSONInvalid(f"{name} is not a JSON number")


def _name(value: JSON) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
