"""The shapes of ``POST /v1/rerank``.

Source: Jina's reranker API and Cohere's ``/v2/rerank``, whose common part llama.cpp's server and vLLM speak too.
"""

from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Discriminator, Field, Tag

from bodhi_asgi.validation import WHOLE, WireModel
from bodhi_asgi.wire.keep_alive import KeepAlive

Text: TypeAlias = Annotated[str, Field(min_length=1)]


class TextDocument(WireModel):
    """A document as an object."""

    text: Text


def _form_of(value: Any) -> str:
    return "str" if isinstance(value, str) else "dict[text]"


Document: TypeAlias = Annotated[
    Annotated[Text, Tag("str")] | Annotated[TextDocument, Tag("dict[text]")], Discriminator(_form_of)
]


class RerankBody(WireModel):
    """A query and the documents to be put in order. A parameter that is ``null`` counts as absent.

    ``top_n`` keeps the best so many. ``return_documents`` repeats each document beside its score.
    """

    model: Annotated[
        Annotated[str, Field(min_length=1, max_length=256)], Field(description="The name of a model or an alias.")
    ]
    query: Annotated[Text, Field(description="What the documents are ranked by.")]
    documents: Annotated[
        Annotated[list[Document], Field(min_length=1, fail_fast=True)],
        Field(description="The documents, as texts or objects with a text."),
    ]
    top_n: Annotated[
        Annotated[int, Field(ge=1, le=1_000_000), WHOLE] | None, Field(description="Keep the best so many.")
    ] = None
    return_documents: Annotated[bool | None, Field(description="Repeat each document beside its score.")] = None
    keep_alive: Annotated[
        KeepAlive | None,
        Field(
            description="How long the model stays loaded afterwards: seconds, or a duration such as 5m; -1 is for good."
        ),
    ] = None


class RankedDocument(BaseModel):
    """``index`` is the document's place in the request, ``relevance_score`` from 0 to 1."""

    index: int
    relevance_score: float
    document: TextDocument | None = None


class RankingUsage(BaseModel):
    """Tokens read: the query counts once with each document."""

    prompt_tokens: int
    total_tokens: int


class RankedList(BaseModel):
    """The documents, best first; those of equal score in the request's order."""

    object: Literal["list"] = "list"
    model: str
    results: list[RankedDocument]
    usage: RankingUsage
