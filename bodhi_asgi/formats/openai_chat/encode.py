"""From the neutral answer to the chat completion and its chunks.

Chunks are plain dicts on the token path: building a validated object for each would cost more than the token.
"""

from bodhi_asgi.formats.openai_chat.logprobs import ChoiceLogprobs, delta_logprobs, logprobs_of
from bodhi_asgi.formats.openai_chat.schema import ChatCompletion, Choice, ReplyMessage
from bodhi_asgi.messages import Delta, Reply
from bodhi_asgi.types import JSON, JSONObject
from bodhi_asgi.wire.usage import UsageShape, usage_shape


def completion_id(request_id: str) -> str:
    """The id a client sees of an answer."""
    return f"chatcmpl-{request_id}"


def encode_reply(reply: Reply, *, request_id: str, model: str, created: int) -> ChatCompletion:
    """Whole answers. ``created`` is in Unix seconds."""
    return ChatCompletion(
        id=completion_id(request_id),
        created=created,
        model=model,
        choices=[
            Choice(
                index=index,
                message=ReplyMessage(content=answer.text),
                finish_reason=answer.finish.value,
                logprobs=ChoiceLogprobs.model_validate(logprobs_of(answer.logprobs)) if answer.logprobs else None,
            )
            for index, answer in enumerate(reply.answers)
        ],
        usage=UsageShape.model_validate(usage_shape(reply.usage)),
    )


class ChunkEncoder:
    """Turns deltas into chunks: of each answer the role first, then text and the reason; usage last when asked for."""

    def __init__(self, *, request_id: str, model: str, created: int, include_usage: bool) -> None:
        self._head: JSONObject = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        if include_usage:
            self._head["usage"] = None
        self._include_usage = include_usage
        self._begun: set[int] = set()

    def encode(self, delta: Delta) -> list[JSONObject]:
        """The chunks for one delta: none, one, or on the last delta up to four."""
        chunks: list[JSONObject] = []
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            chunks.append(self._chunk(delta.index, {"role": "assistant", "content": ""}, None))
        logprobs = delta_logprobs(delta)
        if delta.text or logprobs:
            chunks.append(self._chunk(delta.index, {"content": delta.text}, None, logprobs))
        if delta.finish is not None:
            chunks.append(self._chunk(delta.index, {}, delta.finish.value))
        if self._include_usage and delta.usage is not None:
            chunks.append({**self._head, "choices": [], "usage": {**usage_shape(delta.usage)}})
        return chunks

    def _chunk(
        self, index: int, delta: JSONObject, finish: str | None, logprobs: JSONObject | None = None
    ) -> JSONObject:
        choice: JSON = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return {**self._head, "choices": [choice]}
