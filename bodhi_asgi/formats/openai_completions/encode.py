"""From neutral answers to the completion and its chunks, which are plain dicts on the token path."""

from collections.abc import Iterable

from bodhi_asgi.formats.openai_completions.schema import Completion
from bodhi_asgi.messages.answers import Delta, Logprobs, Reply, TokenLogprob
from bodhi_asgi.types import JSON, JSONObject
from bodhi_asgi.wire.logprobs import token_text
from bodhi_asgi.wire.usage import usage_shape


def completion_id(request_id: str) -> str:
    """The id a client sees of an answer."""
    return f"cmpl-{request_id}"


def encode_reply(reply: Reply, *, request_id: str, model: str, created: int) -> Completion:
    """Whole answers. ``created`` is in Unix seconds."""
    choices = [
        {
            "text": answer.text,
            "index": index,
            "finish_reason": answer.finish.value,
            "logprobs": _logprobs(answer.logprobs, 0) if answer.logprobs else None,
        }
        for index, answer in enumerate(reply.answers)
    ]
    return Completion.model_validate(
        {
            "id": completion_id(request_id),
            "created": created,
            "model": model,
            "choices": choices,
            "usage": usage_shape(reply.usage),
        }
    )


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
        if delta.text or delta.finish is not None:
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
            "logprobs": _logprobs(scores, before) if scores else None,
        }
        return {**self._head, "choices": [choice]}


def _logprobs(tokens: Iterable[TokenLogprob], offset: int) -> JSONObject:
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
