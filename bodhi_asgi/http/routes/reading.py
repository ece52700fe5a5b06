"""Embeddings, rerank and tokens: routes whose answers come whole."""

from functools import partial
from typing import Any, Final

from pydantic import BaseModel
from starlette.responses import Response

from bodhi_asgi import readings
from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.formats.openai_embeddings.encode import to_json
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingList, EmbeddingsRequest
from bodhi_asgi.formats.rerank.schema import RankedList, RerankBody
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, PromptText, TokenizeBody, TokenList
from bodhi_asgi.http.route import Call, Dialect, Route
from bodhi_asgi.wire.writing import written

NUMBER_BYTES: Final = 8
"""About what a number of a vector takes in an answer."""


async def embed(call: Call) -> Response:
    """A vector of length one for each text; texts of one meaning have vectors that point the same way."""
    found = await readings.embeddings(call.services, call.caller, await call.json())
    size = NUMBER_BYTES * sum(len(one.embedding) for one in found.data)
    return Response(await call.services.desk.encode(partial(to_json, found), size=size), media_type="application/json")


async def rerank(call: Call) -> Response:
    """The documents in the order of how well they answer the query, best first."""
    found = await readings.ranked(call.services, call.caller, await call.json())
    texts = sum(len(one.document.text) for one in found.results if one.document is not None)
    return await _whole(call, found, readings.OBJECT_BYTES * len(found.results) + texts)


async def tokenize(call: Call) -> Response:
    """The tokens of a text, or of a conversation as the model's template renders it."""
    found = await readings.tokens(call.services, call.caller, await call.json())
    return await _whole(call, found, readings.TOKEN_BYTES * (len(found.tokens) + len(found.token_strs or ())))


async def detokenize(call: Call) -> Response:
    """The text of tokens."""
    found = await readings.text_of_tokens(call.services, call.caller, await call.json())
    return await _whole(call, found, len(found.prompt))


async def apply_template(call: Call) -> Response:
    """The conversation as the model's template renders it; nothing is generated."""
    found = await readings.rendered(call.services, call.caller, await call.json())
    return await _whole(call, found, len(found.prompt))


async def _whole(call: Call, found: BaseModel, size: int) -> Response:
    """An answer of about ``size`` bytes; a long one is written beside the event loop."""
    return Response(await call.services.desk.encode(partial(written, found), size=size), media_type="application/json")


def _route(path: str, name: str, summary: str, handler: Any, request: Any, response: Any) -> Route:
    return Route(
        method="POST",
        path=path,
        name=name,
        summary=summary,
        tag="inference",
        access=Scope.INFERENCE,
        handler=handler,
        dialect=Dialect.OPENAI,
        request=request,
        response=response,
        errors=frozenset({Kind.NOT_FOUND, Kind.QUARANTINED, Kind.BUSY, Kind.UNAVAILABLE}),
    )


ROUTES = (
    _route("/v1/embeddings", "embeddings", "Embed texts", embed, EmbeddingsRequest, EmbeddingList),
    _route("/v1/rerank", "rerank", "Rank documents by a query", rerank, RerankBody, RankedList),
    _route("/v1/tokenize", "tokenize", "Tokenise a prompt", tokenize, TokenizeBody, TokenList),
    _route("/v1/detokenize", "detokenize", "The text of tokens", detokenize, DetokenizeBody, PromptText),
    _route(
        "/v1/apply-template",
        "apply_template",
        "Render a chat",
        apply_template,
        ChatCompletionRequest,
        PromptText,
    ),
)
