"""How lists are narrowed: by a part of a text, with a condition that means the same in both databases, or by a word."""

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

from sqlalchemy import func, or_

from bodhi_asgi.errors import Invalid

if TYPE_CHECKING:
    from sqlalchemy import ColumnElement

E = TypeVar("E", bound=StrEnum)

MAX_SEARCH: Final = 200
WILD: Final = re.compile(r"[/%_]")


def has_part(text: str, *columns: "ColumnElement[Any]") -> "ColumnElement[bool]":
    """Whether one of the columns has ``text`` in it; of ASCII the case does not matter."""
    # As a value: ``databases`` takes a percent sign in a query for one of its own.
    pattern = "%" + WILD.sub(r"/\g<0>", text.lower()) + "%"
    return or_(*(func.lower(column).like(pattern, escape="/") for column in columns))


def check_search(search: str, most: int = MAX_SEARCH) -> None:
    """Raise Invalid for a text that is too long or that cannot be printed."""
    if len(search) > most or not search.isprintable():
        raise Invalid(
            f"'search' has {len(search)} characters: up to {most} that can be printed are accepted",
            param="search",
        )


def one_of(kind: type[E], value: E | str | None, param: str) -> E | None:
    """A word as the one that it is of its kind, None for none. Raises Invalid naming ``param``."""
    try:
        return None if value is None else kind(value)
    except ValueError:
        raise Invalid(f"'{param}' is {str(value)[:40]!r}: {', '.join(kind)} are accepted", param=param) from None
