"""The messages of a chat completions body: who says what, which tools were called, and what these answered."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Final

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_chat.schema import RequestMessage
from bodhi_asgi.messages.conversation import IMAGE_MARK, Message, Role, ToolCall
from bodhi_asgi.wire.images import ImagePart, ImageReader, without_marks

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {
        "system": Role.SYSTEM,
        "developer": Role.SYSTEM,
        "user": Role.USER,
        "assistant": Role.ASSISTANT,
        "tool": Role.TOOL,
        "function": Role.TOOL,
    }
)


def messages_of(wire: Sequence[RequestMessage], images: ImageReader) -> tuple[Message, ...]:
    """The neutral messages. Raises Invalid for a turn that lacks what its role needs, or has what others have."""
    calls: dict[str, str] = {}  # the name of each call so far by its id
    made = []
    for index, message in enumerate(wire):
        turn = _message(message, f"messages.{index}", calls, images)
        calls |= {call.id: call.name for call in turn.tool_calls}
        made.append(turn)
    return tuple(made)


def _message(wire: RequestMessage, place: str, calls: Mapping[str, str], images: ImageReader) -> Message:
    tool_calls = _calls(wire, place)
    if wire.content is None and not (wire.role == "assistant" and tool_calls):
        raise Invalid(f"'{place}.content' is required", param=f"{place}.content")
    role = ROLES[wire.role]
    if wire.reasoning_content is not None and role is not Role.ASSISTANT:
        _refuse(f"{place}.reasoning_content", "only belongs to the assistant's turns")
    if role is not Role.TOOL and wire.tool_call_id is not None:
        _refuse(f"{place}.tool_call_id", "only belongs to turns of the role 'tool'")
    content = _content(wire, place, images)
    return Message(role, content, wire.name, tool_calls, _answered(wire, place, calls), wire.reasoning_content)


def _content(wire: RequestMessage, param: str, images: ImageReader) -> str:
    if isinstance(wire.content, str):
        return without_marks(wire.content)
    pieces = []
    for index, part in enumerate(wire.content or ()):
        if isinstance(part, ImagePart):
            where = f"{param}.content.{index}"
            if wire.role != "user":
                raise Invalid(f"'{where}' is an image; only messages of the role 'user' may have some", param=where)
            images.read(part, where)
            pieces.append(IMAGE_MARK)
        else:
            pieces.append(without_marks(part.text))
    return "".join(pieces)


def _calls(wire: RequestMessage, place: str) -> tuple[ToolCall, ...]:
    if wire.role != "assistant" and (wire.tool_calls or wire.function_call):
        _refuse(f"{place}.tool_calls", "only belongs to the assistant's turns")
    if wire.function_call is not None:
        call = wire.function_call
        return (ToolCall(f"call_{call.name}", call.name, call.arguments or "{}"),)
    return tuple(
        ToolCall(call.id, call.function.name, call.function.arguments or "{}") for call in wire.tool_calls or ()
    )


def _answered(wire: RequestMessage, place: str, calls: Mapping[str, str]) -> str | None:
    """The id of the call that a tool's turn answers."""
    if wire.role == "function":
        if wire.name is None:
            _refuse(f"{place}.name", "is required of a function's turn")
        answered, field = f"call_{wire.name}", f"{place}.name"
    elif wire.role == "tool":
        if wire.tool_call_id is None:
            _refuse(f"{place}.tool_call_id", "is required of a tool's turn")
        answered, field = str(wire.tool_call_id), f"{place}.tool_call_id"
    else:
        return None
    if answered not in calls:
        _refuse(field, "names no call that an earlier turn of the assistant makes")
    return answered


def _refuse(param: str, what: str) -> None:
    raise Invalid(f"'{param}' {what}", param=param)
