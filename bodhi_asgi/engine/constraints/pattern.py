"""Limits of regular expressions that come from clients, counted before anything is compiled.

What a pattern may contain is decided by llguidance, whose expressions have no look-around and no back-references and
are followed state by state under a budget. Here it is only measured: its length, its counts, its nesting.
"""

import re
from typing import Final

from bodhi_asgi.engine.errors import ConstraintInvalid

MAX_PATTERN_CHARS: Final = 256
"""The longest ``pattern`` in a schema."""

MAX_REGEX_CHARS: Final = 1024
"""The longest expression that is a constraint of its own."""

MAX_COUNT: Final = 2000
MAX_NESTING: Final = 64

_TOKEN: Final = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|\{(\d*),?(\d*)\}|[()]", re.DOTALL)


def check_pattern(pattern: str, where: str, param: str, *, max_chars: int = MAX_PATTERN_CHARS) -> None:
    """Raise ConstraintInvalid, naming ``where`` the pattern stands, when it is over a limit."""
    if len(pattern) > max_chars:
        raise ConstraintInvalid(f"{where} has {len(pattern)} characters; at most {max_chars} are accepted", param=param)
    depth = 0
    for token in _TOKEN.finditer(pattern):
        if token[0] == "(":
            depth += 1
            if depth > MAX_NESTING:
                raise ConstraintInvalid(f"{where} is nested deeper than {MAX_NESTING} groups", param=param)
        elif token[0] == ")":
            depth -= 1
        else:
            for digits in token.groups(""):
                check_count(digits, where, param)


def check_count(digits: str, where: str, param: str) -> None:
    """Raise ConstraintInvalid when the number of repetitions is over the limit; no digits are no number."""
    # Compared as text first: a number of thousands of digits takes its time to read.
    if len(digits.lstrip("0")) > len(str(MAX_COUNT)) or int(digits or 0) > MAX_COUNT:
        raise ConstraintInvalid(
            f"{where} counts to {digits[:20]}; at most {MAX_COUNT} repetitions are accepted", param=param
        )
