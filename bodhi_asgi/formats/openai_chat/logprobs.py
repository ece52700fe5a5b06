"""Log probabilities of a chat completion: the shapes, and how they are filled."""

from collections.abc import Iterable, Sequence
from typing import Any

import orjson
from pydantic import BaseModel

from bodhi_asgi.messages.answers import Delta, Logprobs, TokenLogprob
from bodhi_asgi.types import JSON, JSONObject
from bodhi_asgi.wire.logprobs import TOKENS_AT_ONCE, token_text


class TopLogprob(BaseModel):
    """A token that could have stood there. ``bytes`` are those of its text in UTF-8."""

    token: str
    logprob: float
    bytes: list[int]


class ContentLogprob(TopLogprob):
    """A token of the answer, and the likeliest ones at its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(BaseModel):
    """The tokens whose text is in the choice or completed by the chunk. What a stop string cuts off has none."""

    content: list[ContentLogprob]
    refusal: None = None


def logprobs_of(tokens: Iterable[TokenLogprob]) -> JSONObject:
    """``tokens`` as plain data of the shape :class:`ChoiceLogprobs`."""
    content: list[JSON] = [_with_top(one) for one in tokens]
    return {"content": content, "refusal": None}


def logprobs_shape(tokens: Iterable[TokenLogprob]) -> ChoiceLogprobs:
    """``tokens`` as that shape. What was just computed is not validated again."""
    content = []
    for one in tokens:
        entry: Any = _entry(one)
        tops: list[Any] = [_entry(other) for other in one.top]
        top = [TopLogprob.model_construct(**other) for other in tops]
        content.append(ContentLogprob.model_construct(**entry, top_logprobs=top))
    return ChoiceLogprobs.model_construct(content=content)


def logprobs_json(tokens: Sequence[TokenLogprob]) -> bytes:
    """``tokens`` as JSON of that shape, written some at a time; ``null`` for none."""
    if not tokens:
        return b"null"
    pieces = (
        orjson.dumps([_with_top(one) for one in tokens[begin : begin + TOKENS_AT_ONCE]])[1:-1]
        for begin in range(0, len(tokens), TOKENS_AT_ONCE)
    )
    return b'{"content":[' + b",".join(pieces) + b'],"refusal":null}'


def delta_logprobs(delta: Delta) -> JSONObject | None:
    """Those that come with a delta."""
    return logprobs_of(delta.part.tokens) if isinstance(delta.part, Logprobs) else None


def _with_top(one: TokenLogprob) -> JSONObject:
    return {**_entry(one), "top_logprobs": [_entry(other) for other in one.top]}


def _entry(one: TokenLogprob) -> JSONObject:
    return {"token": token_text(one), "logprob": one.logprob, "bytes": list(one.piece)}
