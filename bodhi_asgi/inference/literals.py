"""Values of arguments as families write them outside of JSON, and what they are in JSON.

A bare word is what the tool's schema says it is: ``5`` is a number for a parameter that takes numbers, and text for one
that takes text.
"""

import json
import re
from collections.abc import Mapping, Set
from contextlib import suppress
from typing import Any, Final

from bodhi_asgi.engine.families.kinds import KINDS
from bodhi_asgi.inference.python_values import value_of

_TOKEN: Final = re.compile(r"""(['"])((?:(?!\1)[^\\\n]|\\.)*)\1|\b(?:True|False|None)\b|,(?=\s*[\]}])""", re.DOTALL)
_WORDS: Final[Mapping[str, str]] = {"True": "true", "False": "false", "None": "null", ",": ""}
_ESCAPE: Final = re.compile(r"""\\x([0-9a-fA-F]{2})|\\(.)|(")""", re.DOTALL)
_ESCAPES: Final[Mapping[str, str]] = {
    **{char: "\\" + char for char in '\\"bfnrtu'},
    **{char: "\\" + char for char in "01234567NUx"},  # JSON has no such ones: the other reader has them
    "'": "'",
    "a": "\\u0007",
    "v": "\\u000b",
    "\n": "",
}


def json_of_word(text: str, kinds: Set[str]) -> str:
    """A bare value as JSON: itself, if it is JSON of one of ``kinds`` (empty: of any kind), else a string."""
    if kinds != {"string"}:
        value, is_json = _parsed(text)
        if is_json and (not kinds or not kinds.isdisjoint(KINDS[type(value)])):
            return text.strip()
        lowered = {"True": "true", "False": "false", "None": "null"}.get(text.strip())
        if lowered is not None and "string" not in kinds:
            return lowered
    return _dumped(text)


def json_of_python(text: str) -> str:
    """A Python literal as JSON; tuples and sets are lists. What is neither Python nor JSON is a string.

    Bytes and complex numbers, for which JSON has no word, are strings too. What differs from JSON only in the quotes of
    strings, in words and in commas at the end is read by the reader of JSON: it takes a tenth of the time, in which
    nobody else has a turn.
    """
    if _parsed(text)[1] and "\\/" not in text:  # a slash in JSON, and two characters in Python
        return text
    for read in (_value_like_json, value_of):
        with suppress(ValueError, TypeError, MemoryError, RecursionError):
            return _dumped(read(text))
    return _dumped(text)


def _value_like_json(text: str) -> Any:
    return json.loads(_TOKEN.sub(_translated, text), strict=False)


def _translated(token: re.Match[str]) -> str:
    inner = token[2]
    if inner is None:
        return _WORDS[token[0]]
    if "\\" in inner or '"' in inner:
        inner = _ESCAPE.sub(_escaped, inner)
    return f'"{inner}"'


def _escaped(found: re.Match[str]) -> str:
    code, char = found[1], found[2]
    if code is not None:
        return f"\\u00{code}"
    if char is None:
        return '\\"'
    return _ESCAPES.get(char, "\\\\" + char)


def _parsed(text: str) -> tuple[Any, bool]:
    try:
        value = json.loads(text)
        json.dumps(value, allow_nan=False)  # the reader takes NaN and 1e999, at any depth
    except (ValueError, RecursionError):
        return None, False
    return value, True


def _dumped(value: Any) -> str:
    """JSON text; escaped where a literal spells half a surrogate pair, which is no text as it stands."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, allow_nan=False)
    return text
