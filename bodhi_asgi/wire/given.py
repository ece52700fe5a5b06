"""Bodies that direct calls bring as Python's own objects, held to what a body of JSON could have said.

What a reader of JSON refuses in bytes is refused here in objects, by the same limits: otherwise it would be found out
further on, where nobody expects it. The loops keep a list of what is still to be looked into, so that no depth hurts.
"""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from bodhi_asgi.strict_json import MAX_CONTAINERS, MAX_DEPTH, MAX_KEYS, MAX_VALUES, JSONInvalid, too_many
from bodhi_asgi.types import INT64_MAX

HALF_A_PAIR: Final = re.compile("[\ud800-\udfff]")
CONTAINERS: Final = (list, tuple, Mapping, BaseModel)
SHOWN_CHARS: Final = 60


def refuse_unlike_json(root: object) -> None:
    """Raises JSONInvalid for too much, for depth, and for what JSON has not, with its path as ``param``."""
    values = keys = containers = depth = 0
    level = [root]
    while level:
        depth += 1
        if depth > MAX_DEPTH:
            raise JSONInvalid(f"the body is nested deeper than {MAX_DEPTH} levels")
        below: list[Any] = []
        for value in level:
            items = items_of(value)
            values += len(items)
            containers += 1
            if isinstance(value, Mapping):
                keys += len(value)
                if any(_fault(key, is_key=True) for key in value):
                    raise _found(root)
            for item in items:
                if isinstance(item, CONTAINERS):
                    below.append(item)
                elif _fault(item) and not isinstance(value, BaseModel):
                    raise _found(root)
            for what, count, most in (
                ("keys", keys, MAX_KEYS),
                ("lists and objects", containers + len(below), MAX_CONTAINERS),
                ("values", values, MAX_VALUES),
            ):
                if count > most:
                    raise too_many(what, most)
        level = below


def items_of(value: Any) -> "list[Any] | tuple[Any, ...]":
    """What a list, an object or a typed request holds."""
    if isinstance(value, list | tuple):
        return value
    given: Iterable[Any] = value.__dict__.values() if isinstance(value, BaseModel) else value.values()
    return list(given)


def _fault(item: Any, *, is_key: bool = False) -> str:
    """Why JSON has no such key or value; nothing when it has."""
    if isinstance(item, str):
        return "half a surrogate pair stands in it" if not item.isascii() and HALF_A_PAIR.search(item) else ""
    if is_key:
        return "the names in an object are texts"
    if item is None or isinstance(item, bool):
        return ""
    if isinstance(item, int):
        return "" if -INT64_MAX - 1 <= item <= INT64_MAX else "integers have 64 bits"
    if isinstance(item, float):
        return "" if math.isfinite(item) else "a number is finite"
    return f"JSON has no {type(item).__name__}"


def _found(root: object) -> JSONInvalid:
    """The refusal with the path of the fault."""
    level: list[tuple[Any, tuple[str, ...]]] = [(root, ())]
    while level:
        below = []
        for value, path in level:
            for name, item in _named(value):
                where = (*path, str(name)[:SHOWN_CHARS])
                fault = _fault(name, is_key=True) if isinstance(value, Mapping) else ""
                if isinstance(item, CONTAINERS):
                    below.append((item, where))
                elif not isinstance(value, BaseModel):
                    fault = fault or _fault(item)
                if fault:
                    param = ".".join(where).encode("utf-8", "backslashreplace").decode()
                    return JSONInvalid(f"'{param}' cannot be said in JSON: {fault}", param=param)
        level = below
    raise AssertionError("a fault that is found once is found again")


def _named(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, list | tuple):
        yield from enumerate(value)
    else:
        yield from (value.__dict__ if isinstance(value, BaseModel) else value).items()
