"""Whole answers as JSON, written piece by piece.

One call into a writer of JSON holds the interpreter until it returns, in whatever thread that is. So long lists are
written some of their items at a time, and the event loop has its turns between them.
"""

from typing import Any, Final

import orjson
from pydantic import BaseModel

ITEMS: Final = 2048
"""Of a list that are written at once: they take a fraction of a millisecond."""

MODELS: Final = 128
"""The same where each is an object."""


def written(answer: BaseModel) -> bytes:
    """The answer as JSON, without the fields that are None."""
    fields = ((name, getattr(answer, name)) for name in type(answer).model_fields)
    return (
        b"{"
        + b",".join(orjson.dumps(name) + b":" + _value(value) for name, value in fields if value is not None)
        + b"}"
    )


def _value(value: Any) -> bytes:
    if not isinstance(value, list) or not value:
        return orjson.dumps(value, default=_plain)
    size = MODELS if isinstance(value[0], BaseModel) else ITEMS
    pieces = (orjson.dumps(value[begin : begin + size], default=_plain) for begin in range(0, len(value), size))
    return b"[" + b",".join(piece[1:-1] for piece in pieces) + b"]"


def _plain(value: Any) -> Any:
    assert isinstance(value, BaseModel), "an answer is made of JSON and of models"
    return value.model_dump(exclude_none=True)
