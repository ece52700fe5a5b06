"""From neutral answers to the completion and its chunks, which are plain dicts on the token path."""

from collections.abc import Iterable, Sequence
from typing import Any

from bodhi_asgi.formats.openai_completions.schema import Completion, CompletionChoice, CompletionLogprobs
from bodhi_asgi.messages.answers import Delta, Logprobs, Reply, TokenLogprob
from bodhi_asgi.types import JSON, JSONObject
from bodhi_asgi.wire.logprobs import list_json, reply_json, token_text
from bodhi_asgi.wire.usage import UsageShape, usage_shape


def completion_id(request_id: str) -> str:
    """The id a client sees of an answer."""
    return f"cmpl-{request_id}"


def encode_reply(reply: Reply, *, request_id: str, model: str, created: int) -> Completion:
    """Whole answers. ``created`` is in Unix seconds."""
    choices = [
        CompletionChoice(
            text=answer.text,
            index=index,
            finish_reason=answer.finish.value,
            logprobs=_logprobs_shape(answer.logprobs) if answer.logprobs else None,
        )
        for index, answer in enumerate(reply.answers)
    ]
    return Completion(
        id=completion_id(request_id),
        created=created,
        model=model,
        choices=choices,
        usage=UsageShape.model_validate(usage_shape(reply.usage)),
    )


def to_json(reply: Reply, *, request_id: str, model: str, created: int) -> bytes:
    """The same as JSON, some tokens at a time: called beside the event loop, it leaves that its turns."""
    completion = encode_reply(reply.without_logprobs(), request_id=request_id, model=model, created=created)
    return reply_json(completion.model_dump(), [_logprobs_json(answer.logprobs) for answer in reply.answers])


class CompletionChunkEncoder:
    """Turns deltas into chunks: text, of each answer at last the reason, and usage when asked for."""

    def __init__(self, *, request_id: str, model: str, created: int, include_usage: bool) -> None:
        self._head: JSONObject = {
            "id": completion_id(request_id),
            "object": "text_completion",
            "created": created,
            "model": model,
        }
        if include_usage:
            self._head["usage"] = None
        self._include_usage = include_usage
        self._written: dict[int, int] = {}

    def encode(self, delta: Delta) -> list[JSONObject]:
        """The chunks for one delta: none, one, or on the last delta two."""
        chunks: list[JSONObject] = []
        if delta.text or delta.part is not None or delta.finish is not None:
            chunks.append(self._chunk(delta))
        if self._include_usage and delta.usage is not None:
            chunks.append({**self._head, "choices": [], "usage": {**usage_shape(delta.usage)}})
        return chunks

    def _chunk(self, delta: Delta) -> JSONObject:
        before = self._written.get(delta.index, 0)
        scores = delta.part.tokens if isinstance(delta.part, Logprobs) else ()
        self._written[delta.index] = before + sum(_characters(one.piece) for one in scores)
        choice: JSON = {
            "text": delta.text,
            "index": delta.index,
            "finish_reason": None if delta.finish is None else delta.finish.value,
            "logprobs": {**_logprobs(scores, before)} if scores else None,
        }
        return {**self._head, "choices": [choice]}


def _logprobs_shape(tokens: Sequence[TokenLogprob]) -> CompletionLogprobs:
    """What was just computed is not validated again."""
    values: Any = _logprobs(tokens, 0)
    return CompletionLogprobs.model_construct(**values)


def _logprobs_json(tokens: Sequence[TokenLogprob]) -> bytes:
    if not tokens:
        return b"null"
    lists = (b'"%s":%s' % (name.encode(), list_json(values)) for name, values in _logprobs(tokens, 0).items())
    return b"{" + b",".join(lists) + b"}"


def _logprobs(tokens: Iterable[TokenLogprob], offset: int) -> dict[str, list[JSON]]:
    texts: list[JSON] = []
    values: list[JSON] = []
    likeliest: list[JSON] = []
    offsets: list[JSON] = []
    for one in tokens:
        text = token_text(one)
        texts.append(text)
        values.append(one.logprob)
        top: JSONObject = {token_text(other): other.logprob for other in one.top}
        likeliest.append(None if one.logprob is None else {**top, text: one.logprob})
        offsets.append(offset)
        offset += _characters(one.piece)
    return {"tokens": texts, "token_logprobs": values, "top_logprobs": likeliest, "text_offset": offsets}


def _characters(piece: bytes) -> int:
    """How many characters begin in these bytes of UTF-8."""
    return sum(byte & 0xC0 != 0x80 for byte in piece)
