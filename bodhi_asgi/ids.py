"""Identifiers: ULID text, 26 characters that sort by the time they were made.

Format: https://github.com/ulid/spec (48 bits of milliseconds, 80 random bits, Crockford base 32).
"""

import re
from typing import Final

from ulid import ULID

ULID_PATTERN: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


def new_id() -> str:
    """A new identifier. Ids made in later milliseconds sort after earlier ones."""
    return str(ULID())


def is_id(text: str) -> bool:
    """Whether ``text`` has the form of an identifier made by :func:`new_id`."""
    return ULID_PATTERN.fullmatch(text) is not None
