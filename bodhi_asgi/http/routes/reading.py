"""Embeddings, rerank and tokens: routes whose answers come whole."""

import asyncio
from typing import Any

from starlette.responses import Response

from bodhi_asgi import readings
from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.formats.openai_embeddings.encode import to_json
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingList, EmbeddingsRequest
from bodhi_asgi.formats.rerank.schema import RankedList, RerankBody
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, PromptText, TokenizeBody, TokenList
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.route import Call, Dialect, Route


async def embed(call: Call) -> Response:
    """A vector of length one for each text; texts of one meaning have vectors that point the same way."""
    found = await readings.embeddings(call.services, call.caller, await call.json())
    return Response(await asyncio.to_thread(to_json, found), media_type="application/json")


async def rerank(call: Call) -> Response:
    """The documents in the order of how well they answer the query, best first."""
    found = await readings.ranked(call.services, call.caller, await call.json())
    return json_response(found.model_dump(exclude_none=True))


async def tokenize(call: Call) -> Response:
    """The tokens of a text, or of a conversation as the model's template renders it."""
    found = await readings.tokens(call.services, call.caller, await call.json())
    return json_response(found.model_dump(exclude_none=True))


async def detokenize(call: Call) -> Response:
    """The text of tokens."""
    return json_response((await readings.text_of_tokens(call.services, call.caller, await call.json())).model_dump())


async def apply_template(call: Call) -> Response:
    """The conversation as the model's template renders it; nothing is generated."""
    return json_response((await readings.rendered(call.services, call.caller, await call.json())).model_dump())


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
