"""From the neutral answer to the chat completion and its chunks.

Chunks are plain dicts on the token path: building a validated object for each would cost more than the token.
"""

from bodhi_asgi.formats.openai_chat.logprobs import delta_logprobs, logprobs_json, logprobs_shape
from bodhi_asgi.formats.openai_chat.schema import (
    CallShape,
    ChatCompletion,
    Choice,
    Finish,
    ReplyMessage,
    ToolCallShape,
)
from bodhi_asgi.messages.answers import Answer, Delta, FinishReason, Reply, ToolCallDelta
from bodhi_asgi.types import JSON, JSONObject
from bodhi_asgi.wire.logprobs import reply_json
from bodhi_asgi.wire.usage import UsageShape, usage_shape


def completion_id(request_id: str) -> str:
    """The id a client sees of an answer."""
    return f"chatcmpl-{request_id}"


def encode_reply(reply: Reply, *, request_id: str, model: str, created: int, is_legacy: bool = False) -> ChatCompletion:
    """Whole answers. ``created`` is in Unix seconds; ``is_legacy`` shows calls in the older form."""
    return ChatCompletion(
        id=completion_id(request_id),
        created=created,
        model=model,
        choices=[
            Choice(
                index=index,
                message=_message(answer, is_legacy),
                finish_reason=_reason(answer.finish, is_legacy),
                logprobs=logprobs_shape(answer.logprobs) if answer.logprobs else None,
            )
            for index, answer in enumerate(reply.answers)
        ],
        usage=UsageShape.model_validate(usage_shape(reply.usage)),
    )


def to_json(reply: Reply, *, request_id: str, model: str, created: int, is_legacy: bool = False) -> bytes:
    """The same as JSON, some tokens at a time: called beside the event loop, it leaves that its turns."""
    completion = encode_reply(
        reply.without_logprobs(), request_id=request_id, model=model, created=created, is_legacy=is_legacy
    )
    return reply_json(completion.model_dump(), [logprobs_json(answer.logprobs) for answer in reply.answers])


def _message(answer: Answer, is_legacy: bool) -> ReplyMessage:
    calls = [CallShape(name=call.name, arguments=call.arguments) for call in answer.tool_calls]
    message = ReplyMessage(content=answer.text, reasoning_content=answer.reasoning or None)
    if calls:
        message.content = answer.text or None
        if is_legacy:
            message.function_call = calls[0]
        else:
            ids = (call.id for call in answer.tool_calls)
            message.tool_calls = [ToolCallShape(id=id_, function=call) for id_, call in zip(ids, calls, strict=True)]
    return message


def _reason(finish: FinishReason, is_legacy: bool) -> Finish:
    return "function_call" if is_legacy and finish is FinishReason.TOOL_CALLS else finish.value


class ChunkEncoder:
    """Turns deltas into chunks: of each answer the role first, then text and the reason; usage last when asked for."""

    def __init__(
        self, *, request_id: str, model: str, created: int, include_usage: bool, is_legacy: bool = False
    ) -> None:
        self._head: JSONObject = {
            "id": completion_id(request_id),
            "object": "chat.completion.chunk",
            "created": created,
            "model": model,
        }
        if include_usage:
            self._head["usage"] = None
        self._include_usage = include_usage
        self._is_legacy = is_legacy
        self._begun: set[int] = set()

    def encode(self, delta: Delta) -> list[JSONObject]:
        """The chunks for one delta: none, one, or several in the order in which they were said."""
        chunks: list[JSONObject] = []
        if delta.index not in self._begun:
            self._begun.add(delta.index)
            chunks.append(self._chunk(delta.index, {"role": "assistant", "content": ""}, None))
        if delta.reasoning:
            chunks.append(self._chunk(delta.index, {"reasoning_content": delta.reasoning}, None))
        logprobs = delta_logprobs(delta)
        if delta.text or logprobs:
            chunks.append(self._chunk(delta.index, {"content": delta.text}, None, logprobs))
        chunks += [self._chunk(delta.index, self._call(piece), None) for piece in delta.tool_calls]
        if delta.finish is not None:
            chunks.append(self._chunk(delta.index, {}, _reason(delta.finish, self._is_legacy)))
        if self._include_usage and delta.usage is not None:
            chunks.append({**self._head, "choices": [], "usage": {**usage_shape(delta.usage)}})
        return chunks

    def _call(self, piece: ToolCallDelta) -> JSONObject:
        function: JSONObject = {"arguments": piece.arguments}
        if piece.name is not None:
            function = {"name": piece.name, **function}
        if self._is_legacy:
            return {"function_call": function}
        head: JSONObject = {"index": piece.index}
        if piece.id is not None:
            head |= {"id": piece.id, "type": "function"}
        return {"tool_calls": [{**head, "function": function}]}

    def _chunk(
        self, index: int, delta: JSONObject, finish: str | None, logprobs: JSONObject | None = None
    ) -> JSONObject:
        choice: JSON = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": logprobs}
        return {**self._head, "choices": [choice]}
