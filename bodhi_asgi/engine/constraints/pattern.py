"""Limits of regular expressions that come from clients, counted before anything is compiled.

What a pattern may contain is decided by llguidance, whose expressions have no look-around and no back-references and
are followed state by state under a budget. Here it is only measured: its length, its nesting, its counts, and how long
it would be with every count written out.
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
MAX_WRITTEN_OUT: Final = 20_000
"""The most characters of an expression in which every count is written out."""

_TOKEN: Final = re.compile(
    r"(?P<open>\()|(?P<close>\))|\{(?P<least>\d+)(?P<range>,)?(?P<most>\d*)\}|\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.",
    re.DOTALL,
)


def check_pattern(pattern: str, where: str, param: str, *, max_chars: int = MAX_PATTERN_CHARS) -> None:
    """Raise ConstraintInvalid, naming ``where`` the pattern stands, when it is over a limit."""
    if len(pattern) > max_chars:
        raise ConstraintInvalid(f"{where} has {len(pattern)} characters; at most {max_chars} are accepted", param=param)
    sizes = [0]  # of the groups that are open, written out
    last = 0  # the size of what a count would repeat
    for token in _TOKEN.finditer(pattern):
        if token["open"]:
            sizes.append(0)
            if len(sizes) > MAX_NESTING:
                raise ConstraintInvalid(f"{where} is nested deeper than {MAX_NESTING} groups", param=param)
            continue
        if token["close"]:
            last = sizes.pop() if len(sizes) > 1 else 0
        elif token["least"]:
            least, most = (check_count(digits, where, param) for digits in (token["least"], token["most"]))
            sizes[-1] -= last
            last *= max(1, most, least + bool(token["range"]))
        else:
            last = 1
        sizes[-1] += last
        if sizes[-1] > MAX_WRITTEN_OUT:
            raise ConstraintInvalid(
                f"{where} has more than {MAX_WRITTEN_OUT} characters with its repetitions written out", param=param
            )


def check_count(digits: str, where: str, param: str) -> int:
    """The number of repetitions, 0 for no digits. Raises ConstraintInvalid when it is over the limit."""
    # Compared as text first: a number of thousands of digits takes its time to read.
    if len(digits.lstrip("0")) > len(str(MAX_COUNT)) or int(digits or 0) > MAX_COUNT:
        raise ConstraintInvalid(
            f"{where} counts to {digits[:20]}; at most {MAX_COUNT} repetitions are accepted", param=param
        )
    return int(digits or 0)
