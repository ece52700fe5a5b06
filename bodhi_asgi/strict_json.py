"""A JSON object from untrusted bytes, or one clear refusal.

RFC 8259 leaves several things to the reader that have been used against readers: duplicate keys, numbers beyond any
type, lone surrogates, depth, number. Here each of them is an error that says what and where; nothing is repaired or
guessed.

Two readers share the work. ``orjson`` reads what is plainly in order, a counted proof says whether it is; what is not
proven goes to the standard library's reader with our own checks, which decides and finds the words.
"""

import json
import math
import re
from typing import Any, Final, NoReturn

import orjson

from bodhi_asgi.errors import Invalid
from bodhi_asgi.types import INT64_MAX, JSON, JSONObject

MAX_DEPTH: Final = 64
MAX_DIGITS: Final = 20
MAX_VALUES: Final = 200_000
"""Of a body: the tokens of a whole context are 131,072 numbers."""

MAX_KEYS: Final = 50_000
"""Of all objects in a body together; a conversation of 2,048 turns has ten of them a turn, with calls in each."""

MAX_CONTAINERS: Final = 50_000
"""Objects and lists. Making one takes ten times as long as making a number."""

SEARCHED_CHARS: Final = 100_000
"""How far into a body the place of a fault is looked for, because looking takes longer than reading."""

_LONG_NUMBER: Final = b"0" * 19
_SHAPES: Final = bytes.maketrans(b"123456789", b"000000000")
_BRACKETS: Final = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|-?Infinity|NaN|[{}\[\],:]', re.DOTALL)
_SURROGATE: Final = re.compile("[\ud800-\udfff]")


class JSONInvalid(Invalid):
    """The body is not one strict JSON object."""

    code = "json_rejection_error"
    openai_code = "invalid_json"


def load_object(body: bytes, *, max_depth: int = MAX_DEPTH) -> JSONObject:
    """The object in ``body``: UTF-8 without a byte order mark, finite numbers, integers of 64 bits, unique keys.

    Raises :class:`JSONInvalid`, with ``param`` the path of the fault where it has one. The size of ``body`` is limited
    by whoever read it; how many values it has is limited here, before any of them is made.
    """
    bare = _bare(body)
    _refuse_too_many(bare)
    value = _plain(body, bare, max_depth)
    return _doubted(body, max_depth) if value is None else value


def too_many(what: str, most: int) -> JSONInvalid:
    """The refusal of a body that has more than ``most`` of something."""
    return JSONInvalid(f"the body has more than {most} {what}; send what it holds in several requests")


def _bare(body: bytes) -> bytes:
    """What stands outside of strings in a valid text, with all digits as zeros."""
    # Without its escapes every quote in a valid text begins or ends a string.
    quoted = body.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in body else body
    if quoted.count(b'"') > 2 * (MAX_VALUES + MAX_KEYS):
        raise too_many("strings", MAX_VALUES + MAX_KEYS)
    return b"".join(quoted.split(b'"')[::2]).translate(_SHAPES)


def _refuse_too_many(bare: bytes) -> None:
    containers = bare.count(b"[") + bare.count(b"{")
    for what, count, most in (
        ("keys", bare.count(b":"), MAX_KEYS),
        ("lists and objects", containers, MAX_CONTAINERS),
        ("values", bare.count(b",") + containers, MAX_VALUES),
    ):
        if count > most:
            raise too_many(what, most)


def _plain(body: bytes, bare: bytes, max_depth: int) -> JSONObject | None:
    """The object, when it is proven to be in order; None says nothing."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    if _LONG_NUMBER in bare or b"0e" in bare or b"0E" in bare:
        return None
    brackets = bare.translate(_BRACKETS, _NO_BRACKETS)
    if not _is_shallow(brackets, max_depth):
        return None
    # Every key has its colon: a key that stands twice leaves more colons in the text than keys in the value.
    return value if _keys(value, len(brackets) // 2) == bare.count(b":") else None


def _is_shallow(brackets: bytes, max_depth: int) -> bool:
    """Whether balanced brackets are nested no deeper than ``max_depth``: each round takes the innermost ones away."""
    if len(brackets) <= 2 * max_depth:
        return True
    for _ in range(max_depth):
        brackets = brackets.replace(b"[]", b"")
        if not brackets:
            return True
    return False


def _keys(root: JSONObject, containers: int) -> int:
    """How many keys all objects in ``root`` have; looking ends when as many ``containers`` have been found."""
    found: list[Any] = [root]
    keys = 0
    for value in found:  # grows while it is read
        is_object = type(value) is dict
        if is_object:
            keys += len(value)
        if len(found) < containers:
            items = value.values() if is_object else value
            found += [item for item in items if type(item) is dict or type(item) is list]
    return keys


def _doubted(body: bytes, max_depth: int) -> JSONObject:
    """The object read slowly, or the reason why not."""
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
        _check(value, max_depth)
    except json.JSONDecodeError as error:
        raise JSONInvalid(
            f"the body is not JSON: {error.msg.lower()} at line {error.lineno}, column {error.colno}"
        ) from None
    except (_Fault, RecursionError) as fault:
        what = str(fault) if isinstance(fault, _Fault) else _too_deep(max_depth)
        raise _placed(text, what, max_depth) from None
    if not isinstance(value, dict):
        raise JSONInvalid(f"the body is {_name(value)}; a JSON object is expected")
    return value


class _Fault(Exception):
    """Something that JSON allows, or some readers do, and we do not."""


def _check(root: JSON, max_depth: int) -> None:
    level: list[JSON] = [root]
    depth = 0
    while level:
        depth += 1
        inner: list[JSON] = []
        for value in level:
            if isinstance(value, str):
                _check_text(value)
            elif isinstance(value, dict | list):
                if depth > max_depth:
                    raise _Fault(_too_deep(max_depth))
                inner += value
                if isinstance(value, dict):
                    inner += value.values()
        level = inner


def _check_text(text: str) -> str:
    found = _SURROGATE.search(text)
    if found is not None:
        raise _Fault(f"half a surrogate pair, \\u{ord(found[0]):04x}, stands in a string")
    return text


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise _Fault(_twice(name))
            seen.add(name)
    return value


def _integer(digits: str) -> int:
    if len(digits) <= MAX_DIGITS:
        value = int(digits)
        if -INT64_MAX - 1 <= value <= INT64_MAX:
            return value
    raise _Fault(f"the integer {_brief(digits)} does not fit 64 bits")


def _float(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise _Fault(f"the number {_brief(digits)} is too large")
    return value


def _constant(name: str) -> NoReturn:
    raise _Fault(f"{name} is not a JSON number")


_DECODER: Final = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


def _twice(name: str) -> str:
    return f"the key {_brief(name)!r} stands twice in one object"


def _too_deep(max_depth: int) -> str:
    return f"the body is nested deeper than {max_depth} levels"


def _brief(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


def _name(value: JSON) -> str:
    names = {list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _placed(text: str, what: str, max_depth: int) -> JSONInvalid:
    """The refusal of a fault that is known to be in ``text``, with its place when that is near the beginning."""
    place = _place_of_fault(text, max_depth)
    if place is None:
        return JSONInvalid(f"{what}, after the first {SEARCHED_CHARS} characters")
    offset, path = place
    line, column = text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)
    param = ".".join(path)[:200].encode("ascii", "backslashreplace").decode() or None
    return JSONInvalid(f"{what}, at line {line}, column {column}", param=param)


def _place_of_fault(text: str, max_depth: int) -> tuple[int, list[str]] | None:
    """Where the first fault is and the path there, for text that is JSON up to it."""
    containers: list[dict[str, None] | int] = []  # the keys of an object so far, or the index in a list
    path: list[str] = []
    expects_key = False
    for token in _TOKEN.finditer(text, 0, SEARCHED_CHARS):
        word = token[0]
        if word in "{[":
            containers.append({} if word == "{" else 0)
            path.append("" if word == "{" else "0")
            expects_key = word == "{"
            if len(containers) > max_depth:
                return token.start(), path[:8]
        elif word in "}]":
            containers.pop()
            path.pop()
            expects_key = False
        elif word == ",":
            innermost = containers[-1]
            if isinstance(innermost, int):
                containers[-1] = innermost + 1
                path[-1] = str(innermost + 1)
            expects_key = isinstance(innermost, dict)
        elif word != ":":
            try:
                value = _DECODER.decode(word)
                if isinstance(value, str):
                    _check_text(value)
            except _Fault:
                return token.start(), path
            innermost = containers[-1] if containers else 0
            if expects_key and isinstance(innermost, dict):
                path[-1] = value
                if value in innermost:
                    return token.start(), path
                innermost[value] = None
                expects_key = False
    return None
