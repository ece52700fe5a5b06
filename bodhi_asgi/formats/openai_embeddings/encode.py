"""From vectors to the answer. They stay bytes until here, which is what base64 is made of.

Millions of numbers take a tenth of a second, so nothing here holds the interpreter for long at once: called beside the
event loop, it leaves that its turns.
"""

import array
import base64
import sys
from typing import Literal

import orjson

from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingList, EmbeddingObject, ReadingUsage
from bodhi_asgi.messages.reading import Embeddings


def encode(found: Embeddings, *, model: str, encoding_format: Literal["float", "base64"]) -> EmbeddingList:
    """The answer. What was just computed is not validated again."""
    encoded = base64_of if encoding_format == "base64" else numbers_of
    tokens = found.usage.prompt_tokens
    return EmbeddingList.model_construct(
        data=[
            EmbeddingObject.model_construct(index=index, embedding=encoded(vector))
            for index, vector in enumerate(found.vectors)
        ],
        model=model,
        usage=ReadingUsage(prompt_tokens=tokens, total_tokens=tokens),
    )


def to_json(answer: EmbeddingList) -> bytes:
    """The answer as JSON, written one vector at a time."""
    data = b",".join(
        orjson.dumps({"object": one.object, "index": one.index, "embedding": one.embedding}) for one in answer.data
    )
    head, usage = orjson.dumps(answer.model), orjson.dumps(answer.usage.model_dump())
    return b'{"object":"list","data":[' + data + b'],"model":' + head + b',"usage":' + usage + b"}"


def base64_of(vector: bytes) -> str:
    return base64.b64encode(vector).decode("ascii")


def numbers_of(vector: bytes) -> list[float]:
    numbers = array.array("f", vector)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
