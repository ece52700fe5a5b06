"""From vectors to the answer. They stay bytes until here, which is what base64 is made of."""

import array
import base64
import sys
from typing import Literal

from bodhi_asgi.messages import Embeddings
from bodhi_asgi.types import JSON, JSONObject


def encode(found: Embeddings, *, model: str, encoding_format: Literal["float", "base64"]) -> JSONObject:
    """The answer as plain data of the shape :class:`~bodhi_asgi.formats.openai_embeddings.schema.EmbeddingList`."""
    encoded = base64_of if encoding_format == "base64" else numbers_of
    data: list[JSON] = [
        {"object": "embedding", "index": index, "embedding": encoded(vector)}
        for index, vector in enumerate(found.vectors)
    ]
    tokens = found.usage.prompt_tokens
    return {
        "object": "list",
        "data": data,
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }


def base64_of(vector: bytes) -> JSON:
    return base64.b64encode(vector).decode("ascii")


def numbers_of(vector: bytes) -> JSON:
    numbers = array.array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return list(numbers)
