"""Plain data as JSON text, and whatever a tool returns as text for a model."""

import json
from typing import Any

import orjson
from pydantic_core import to_json


def dumped(value: Any) -> str:
    """JSON text of plain data."""
    return orjson.dumps(value).decode()


def told(value: Any) -> str:
    """What a model is told that a tool returned: text as it is, anything else as JSON.

    Dataclasses, pydantic's models, dates and the like are written as pydantic writes them, with the spaces of Python's
    JSON, which is how models have mostly seen results. Raises ValueError for what has no JSON.
    """
    if isinstance(value, str):
        value.encode()  # half a surrogate pair is no text
        return value
    return json.dumps(json.loads(to_json(value, inf_nan_mode="null")), ensure_ascii=False)
