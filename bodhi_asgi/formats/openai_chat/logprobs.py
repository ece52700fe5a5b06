"""Log probabilities of a chat completion: the shapes, and how they are filled."""

from collections.abc import Iterable

from pydantic import BaseModel

from bodhi_asgi.messages.answers import Delta, Logprobs, TokenLogprob
from bodhi_asgi.types import JSON, JSONObject
from bodhi_asgi.wire.logprobs import token_text


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
    content: list[JSON] = [{**_entry(one), "top_logprobs": [_entry(other) for other in one.top]} for one in tokens]
    return {"content": content, "refusal": None}


def delta_logprobs(delta: Delta) -> JSONObject | None:
    """Those that come with a delta."""
    return logprobs_of(delta.part.tokens) if isinstance(delta.part, Logprobs) else None


def _entry(one: TokenLogprob) -> JSONObject:
    return {"token": token_text(one), "logprob": one.logprob, "bytes": list(one.piece)}
