"""From the neutral answer to the chat completion and its chunks.

Chunks are plain dicts on the token path: building a validated object for each would cost more than the token.
"""

from bodhi_asgi.formats.openai_chat.schema import ChatCompletion, Choice, ReplyMessage, UsageShape
from bodhi_asgi.messages import Delta, Reply, Usage
from bodhi_asgi.types import JSON, JSONObject


def completion_id(request_id: str) -> str:
    """The id a client sees of an answer."""
    return f"chatcmpl-{request_id}"


def encode_reply(reply: Reply, *, request_id: str, model: str, created: int) -> ChatCompletion:
    """A whole answer. ``created`` is in Unix seconds."""
    return ChatCompletion(
        id=completion_id(request_id),
        created=created,
        model=model,
        choices=[Choice(message=ReplyMessage(content=reply.text), finish_reason=reply.finish.value)],
        usage=UsageShape(**_usage(reply.usage)),
    )


class ChunkEncoder:
    """Turns the deltas of one answer into chunks: the role first, then text, the reason, and usage when asked for."""

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
        self._began = False

    def encode(self, delta: Delta) -> list[JSONObject]:
        """The chunks for one delta: none, one, or on the last delta up to four."""
        chunks: list[JSONObject] = []
        if not self._began:
            self._began = True
            chunks.append(self._chunk({"role": "assistant", "content": ""}, None))
        if delta.text:
            chunks.append(self._chunk({"content": delta.text}, None))
        if delta.finish is not None:
            chunks.append(self._chunk({}, delta.finish.value))
            if self._include_usage and delta.usage is not None:
                chunks.append({**self._head, "choices": [], "usage": {**_usage(delta.usage)}})
        return chunks

    def _chunk(self, delta: JSONObject, finish: str | None) -> JSONObject:
        choice: JSON = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        return {**self._head, "choices": [choice]}


def _usage(usage: Usage) -> dict[str, int]:
    return {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
