"""How long a model shall stay loaded after a request, as Ollama has it: seconds, or a duration such as ``"5m"``.

The syntax of durations is Go's, which Ollama reads them with: https://pkg.go.dev/time#ParseDuration
"""

import math
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

MOST_S: Final = 31_536_000.0
"""A year. Longer is for good, which a negative number says."""

FOR_GOOD: Final = -1.0
UNITS: Final[Mapping[str, float]] = MappingProxyType(
    {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
)
NUMBER: Final = r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})"
PART: Final = re.compile(f"{NUMBER}({'|'.join(sorted(UNITS, key=len, reverse=True))})", re.ASCII)
DURATION: Final = re.compile(rf"[+-]?(?:{PART.pattern}){{1,8}}", re.ASCII)
PLAIN: Final = re.compile(r"-?\d{1,12}(\.\d{1,12})?", re.ASCII)


def seconds(value: object) -> float:
    """Seconds of what a client wrote; anything negative is -1. Raises ValueError in plain words."""
    found: float | None = None
    if isinstance(value, str):
        found = _of_text(value)
    elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= MOST_S:
        found = float(value)
    if found is None or not math.isfinite(found) or found > MOST_S:
        raise ValueError("seconds as a number, or a duration such as '5m' or '1h30m', up to a year, or -1 for good")
    return FOR_GOOD if found < 0 else found


def _of_text(text: str) -> float | None:
    if text == "0" or PLAIN.fullmatch(text):
        return float(text)
    if DURATION.fullmatch(text) is None:
        return None
    size = sum(float(number) * UNITS[unit] for number, unit in PART.findall(text))
    return -size if text.startswith("-") else size


def _read(value: Any) -> float:
    try:
        return seconds(value)
    except ValueError as error:
        raise PydanticCustomError("keep_alive", "{accepted} is accepted", {"accepted": str(error)}) from None


KeepAlive: TypeAlias = Annotated[
    float,
    BeforeValidator(_read),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "number", "maximum": MOST_S},
                {"type": "string", "pattern": r"^-?[0-9]{1,3}(ms|s|m|h)$"},
            ]
        }
    ),
]
"""A field that takes seconds or a duration, and holds seconds; -1 means for good."""
