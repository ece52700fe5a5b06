"""From bodies about tokens to the neutral requests, refusing by name whatever is wrong or unknown."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, TypeAlias

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.tokenization.schema import DetokenizeBody, TokenizeBody
from bodhi_asgi.messages.conversation import Prompt, TextPrompt
from bodhi_asgi.messages.reading import DetokenizeRequest, TokenizeRequest
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.refusal import without_neutral

Conversation: TypeAlias = Callable[[dict[str, Any]], Prompt]
"""The prompt of a body with ``model``, ``messages`` and perhaps ``tools``, as the chat dialect reads it.

The doors hand it in, because one dialect knows nothing of another.
"""


def decode_tokenize(body: JSONObject | TokenizeBody, conversation: Conversation) -> TokenizeRequest:
    """Translate a body for tokens. Raises Invalid whose ``param`` is the path of the offending field."""
    wire = body if isinstance(body, TokenizeBody) else validated(TokenizeBody, without_neutral(body, {}, frozenset()))
    if (wire.prompt is None) == (wire.messages is None):
        raise Invalid("give either 'prompt' or 'messages'", param="prompt")
    wants: Literal["tokens", "pieces"] = "pieces" if wire.return_token_strs else "tokens"
    if wire.prompt is not None:
        if wire.tools is not None:
            raise Invalid("'tools' belong to 'messages'; a 'prompt' is read as it is", param="tools")
        return TokenizeRequest(
            wire.model,
            TextPrompt(wire.prompt),
            wants,
            add_special=wire.add_special_tokens is not False,
            parse_special=bool(wire.parse_special),
        )
    for name in ("add_special_tokens", "parse_special"):
        if getattr(wire, name) is not None:
            raise Invalid(f"'{name}' is for a 'prompt'; in a conversation the model's template decides", param=name)
    chat = {"model": wire.model, "messages": wire.messages}
    return TokenizeRequest(
        wire.model, conversation(chat if wire.tools is None else chat | {"tools": wire.tools}), wants
    )


def decode_count(body: JSONObject | TokenizeBody, conversation: Conversation) -> TokenizeRequest:
    """The same for their number."""
    return replace(decode_tokenize(body, conversation), wants="count")


def decode_detokenize(body: JSONObject | DetokenizeBody) -> DetokenizeRequest:
    """Translate a body for the text of tokens. Raises Invalid as :func:`decode_tokenize`."""
    wire = (
        body if isinstance(body, DetokenizeBody) else validated(DetokenizeBody, without_neutral(body, {}, frozenset()))
    )
    return DetokenizeRequest(wire.model, tuple(wire.tokens))
