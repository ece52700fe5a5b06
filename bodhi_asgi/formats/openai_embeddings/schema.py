"""The shapes of ``POST /v1/embeddings``. Source: the OpenAI API reference, embeddings."""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Discriminator, Field, Tag

from bodhi_asgi.validation import WHOLE, WireModel

TokenId: TypeAlias = Annotated[int, Field(ge=0, le=2**31 - 1)]
Text: TypeAlias = Annotated[str, Field(min_length=1)]
Tokens: TypeAlias = Annotated[list[TokenId], Field(min_length=1, fail_fast=True)]


def _form_of(value: Any) -> str:
    """Which of the forms is meant, by the first item: a body of a million tokens is then read once and not four times.

    Named like types, which a path to a field leaves out.
    """
    if isinstance(value, list) and value:
        first = value[0]
        return "list[list[int]]" if isinstance(first, list) else "list[str]" if isinstance(first, str) else "list[int]"
    return "list[str]" if isinstance(value, list) else "str"


Input: TypeAlias = Annotated[
    Annotated[Text, Tag("str")]
    | Annotated[list[Text], Field(min_length=1, fail_fast=True), Tag("list[str]")]
    | Annotated[Tokens, Tag("list[int]")]
    | Annotated[list[Tokens], Field(min_length=1, fail_fast=True), Tag("list[list[int]]")],
    Discriminator(_form_of),
]


class EmbeddingsRequest(WireModel):
    """What a client asks for: a text or several, or their tokens. A parameter that is ``null`` counts as absent."""

    model: Annotated[str, Field(min_length=1, max_length=256)]
    input: Input
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None = None
    user: Annotated[str, Field(max_length=512)] | None = None


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
