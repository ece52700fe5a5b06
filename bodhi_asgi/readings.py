"""Questions that are answered whole: decode, one verb, encode. The same for a direct call and for HTTP.

Chat is not among them, because its doors differ: one yields chunks, the other frames.
"""

from functools import partial
from typing import Final

from bodhi_asgi.caller import Caller
from bodhi_asgi.formats.openai_chat.decode import decode as decode_chat
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.formats.openai_embeddings.decode import decode as decode_embeddings
from bodhi_asgi.formats.openai_embeddings.encode import encode as encode_embeddings
from bodhi_asgi.formats.openai_embeddings.schema import EmbeddingList, EmbeddingsRequest
from bodhi_asgi.formats.rerank.decode import decode as decode_rerank
from bodhi_asgi.formats.rerank.encode import encode as encode_rerank
from bodhi_asgi.formats.rerank.schema import RankedList, RerankBody
from bodhi_asgi.formats.tokenization.decode import Conversation, decode_count, decode_detokenize, decode_tokenize
from bodhi_asgi.formats.tokenization.encode import encode_count, encode_tokens
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, PromptText, TokenCount, TokenizeBody, TokenList
from bodhi_asgi.messages.reading import TokenizeRequest
from bodhi_asgi.services import Services
from bodhi_asgi.types import JSONObject

OBJECT_BYTES: Final = 64
TOKEN_BYTES: Final = 8
"""About what a small object, and a token's number, take in an answer."""


async def embeddings(services: Services, caller: Caller, body: JSONObject | EmbeddingsRequest) -> EmbeddingList:
    """Vectors of texts."""
    call = await services.desk.decode(lambda given: decode_embeddings(given, services.limits), body)
    found = await services.reading.embed(caller, call.request)
    return await services.desk.encode(
        partial(encode_embeddings, found, model=call.request.model, encoding_format=call.encoding_format),
        size=sum(map(len, found.vectors)),
    )


async def ranked(services: Services, caller: Caller, body: JSONObject | RerankBody) -> RankedList:
    """Documents in the order of their worth to a query."""
    call = await services.desk.decode(lambda given: decode_rerank(given, services.limits), body)
    found = await services.reading.rerank(caller, call.request)
    return await services.desk.encode(partial(encode_rerank, found, call), size=OBJECT_BYTES * len(found.scores))


async def tokens(services: Services, caller: Caller, body: JSONObject | TokenizeBody) -> TokenList:
    """The tokens of a prompt."""
    request = await services.desk.decode(partial(decode_tokenize, conversation=_conversations(services)), body)
    found = await services.reading.tokenize(caller, request)
    return await services.desk.encode(partial(encode_tokens, found, request), size=TOKEN_BYTES * len(found.ids))


async def token_count(services: Services, caller: Caller, body: JSONObject | TokenizeBody) -> TokenCount:
    """How many tokens a prompt has."""
    request = await services.desk.decode(partial(decode_count, conversation=_conversations(services)), body)
    return encode_count(await services.reading.tokenize(caller, request))


async def text_of_tokens(services: Services, caller: Caller, body: JSONObject | DetokenizeBody) -> PromptText:
    """The text of tokens."""
    request = await services.desk.decode(decode_detokenize, body)
    return PromptText(prompt=await services.reading.detokenize(caller, request))


async def rendered(services: Services, caller: Caller, body: JSONObject | ChatCompletionRequest) -> PromptText:
    """A conversation, in a body of the chat dialect, as the model's template writes it."""
    call = await services.desk.decode(lambda given: decode_chat(given, services.limits), body)
    chat = call.request
    request = TokenizeRequest(chat.model, chat.prompt, "text")
    return PromptText(prompt=await services.reading.render(caller, request))


def _conversations(services: Services) -> Conversation:
    return lambda body: decode_chat(body, services.limits).request.prompt
