"""Plain data as JSON text, and whatever a tool returns as text for a model."""

from typing import Any

import orjson
from pydantic_core import to_json


def dumped(value: Any) -> str:
    """JSON text of plain data."""
    return orjson.dumps(value).decode()


def told(value: Any) -> str:
    """What a model is told that a tool returned: text as it is, anything else as JSON.

    Dataclasses, pydantic's models, dates and the like are written as pydantic writes them. Raises ValueError for what
    has no JSON.
    """
    text = value if isinstance(value, str) else to_json(value, inf_nan_mode="null").decode()
    text.encode()  # half a surrogate pair is no text
    return text
