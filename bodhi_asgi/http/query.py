"""What stands in a query, read strictly: each parameter by name, with what is accepted in the refusal."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.errors import Invalid
from bodhi_asgi.http.route import Call

MAX_PAGE: Final = 1_000_000
MAX_TEXT: Final = 200
PAGE_QUERY: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "page": {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": 1},
        "page_size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 30},
    }
)
"""The parameters of every list that has pages."""

SWITCH: Final[Mapping[str, Any]] = MappingProxyType({"type": "boolean", "default": False})


def number(call: Call, name: str, default: int) -> int:
    """A whole number that is not negative. Raises Invalid."""
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_PAGE)) and int(text) <= MAX_PAGE):
        raise Invalid(f"'{name}' is {text[:40]!r}: a whole number up to {MAX_PAGE} is accepted", param=name)
    return int(text)


def page_of(call: Call) -> dict[str, int]:
    """``page`` and ``page_size``, whose ranges the verb checks."""
    return {"page": number(call, "page", 1), "page_size": number(call, "page_size", 30)}


def word(call: Call, name: str, among: Collection[str], default: str) -> str:
    """One of several words. Raises Invalid."""
    found = call.query.get(name, default)
    if found not in among:
        raise _unknown(name, found, among)
    return found


def words(call: Call, name: str, among: Collection[str]) -> frozenset[str]:
    """A list of words with commas between; empty when it is not given. Raises Invalid."""
    text = call.query.get(name, "")
    found = [part.strip() for part in text[: 100 * MAX_TEXT].split(",")] if text else []
    wrong = next((part for part in found if part not in among), None)
    if wrong is not None:
        raise _unknown(name, wrong, among)
    return frozenset(found)


def switch(call: Call, name: str) -> bool:
    """Whether a switch is on; off when it is not given. Raises Invalid."""
    return truth(call, name) or False


def truth(call: Call, name: str) -> bool | None:
    """``true``, ``false``, or None when it is not given. Raises Invalid."""
    return None if name not in call.query else word(call, name, ("true", "false"), "") == "true"


def phrase(call: Call, name: str) -> str:
    """A text without control characters, at most 200 characters long. Raises Invalid."""
    found = call.query.get(name, "")
    if len(found) > MAX_TEXT or not found.isprintable():
        raise Invalid(f"'{name}' is no text of up to {MAX_TEXT} printable characters", param=name)
    return found


def _unknown(name: str, found: str, among: Collection[str]) -> Invalid:
    return Invalid(f"'{name}' is {found[:40]!r}: {', '.join(among)} are accepted", param=name)
