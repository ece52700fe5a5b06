"""The shapes of ``POST /v1/embeddings``. Source: the OpenAI API reference, embeddings."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from bodhi_asgi.validation import WHOLE, WireModel
from bodhi_asgi.wire.inputs import Input
from bodhi_asgi.wire.keep_alive import KeepAlive


class EmbeddingsRequest(WireModel):
    """What a client asks for: a text or several, or their tokens. A parameter that is ``null`` counts as absent."""

    model: Annotated[
        Annotated[str, Field(min_length=1, max_length=256)], Field(description="The name of a model or an alias.")
    ]
    input: Annotated[Input, Field(description="A text, several, or their tokens.")]
    encoding_format: Annotated[
        Literal["float", "base64"] | None, Field(description="How vectors are written; float unless said otherwise.")
    ] = None
    dimensions: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None,
        Field(description="Keep so many numbers of each vector."),
    ] = None
    user: Annotated[Annotated[str, Field(max_length=512)] | None, Field(description="Taken and not used.")] = None
    keep_alive: Annotated[
        KeepAlive | None,
        Field(
            description="How long the model stays loaded afterwards: seconds, or a duration such as 5m; -1 is for good."
        ),
    ] = None


class EmbeddingObject(BaseModel):
    """One vector of length one: numbers, or the base64 of 32-bit floats, least byte first."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class ReadingUsage(BaseModel):
    """Tokens read."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """A vector for each input, in their order."""

    object: Literal["list"] = "list"
    data: list[EmbeddingObject]
    model: str
    usage: ReadingUsage
