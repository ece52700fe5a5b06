"""From a chat completions body to the neutral request, refusing by name whatever is wrong, unknown or not supported."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest, RequestMessage
from bodhi_asgi.messages import IMAGE_MARK, ChatPrompt, GenerateRequest, Message, Role
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.adapters import adapters_of
from bodhi_asgi.wire.constraint import constraint_of
from bodhi_asgi.wire.images import ImagePart, ImageReader, without_marks
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.refusal import without_neutral
from bodhi_asgi.wire.sampling import choices_of, endings_of, sampling_of

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
)

NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
        "tools": ([],),
        "tool_choice": ("none", "auto"),
        "parallel_tool_calls": (False, True),
        "functions": ([],),
        "function_call": ("none", "auto"),
        "modalities": (["text"],),
        "service_tier": ("auto", "default"),
        "store": (False,),
    }
)
"""Parameters of the dialect that this version does not act on, with the values that ask for nothing."""

UNSUPPORTED: Final = frozenset(
    {
        "audio",
        "metadata",
        "prediction",
        "prompt_cache_key",
        "reasoning_effort",
        "safety_identifier",
        "verbosity",
        "web_search_options",
    }
)
"""Parameters of the dialect that no value of can be honoured here."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A decoded call: what to generate, and how the client wants to receive it."""

    request: GenerateRequest
    stream: bool
    include_usage: bool


def decode(body: JSONObject | ChatCompletionRequest, limits: RequestLimits) -> ChatCall:
    """Translate a chat completions body.

    Raises :class:`~bodhi_asgi.errors.Invalid` (or a subclass) whose ``param`` is the path of the offending field and
    whose message says what is accepted.
    """
    wire = (
        body
        if isinstance(body, ChatCompletionRequest)
        else validated(ChatCompletionRequest, without_neutral(body, NEUTRAL, UNSUPPORTED))
    )
    if wire.stream_options is not None and not wire.stream:
        raise Invalid("'stream_options' is only accepted together with 'stream': true", param="stream_options")
    if wire.max_tokens is not None and wire.max_completion_tokens not in (None, wire.max_tokens):
        raise Invalid(
            "'max_tokens' and 'max_completion_tokens' mean the same and differ; give one of them",
            param="max_completion_tokens",
        )
    if len(wire.messages) > limits.messages:
        raise Invalid(
            f"'messages' has {len(wire.messages)} items; at most {limits.messages} are accepted", param="messages"
        )
    images = ImageReader(limits)
    messages = tuple(_message(message, f"messages.{index}", images) for index, message in enumerate(wire.messages))
    request = GenerateRequest(
        model=wire.model,
        prompt=ChatPrompt(messages, images=tuple(images.images)),
        sampling=sampling_of(wire, limits),
        n=choices_of(wire.n, limits),
        logprobs=_logprobs(wire),
        adapters=adapters_of(wire.lora),
        constraint=constraint_of(wire),
        **endings_of(wire, limits, wire.max_completion_tokens or wire.max_tokens),
    )
    include_usage = bool(wire.stream_options and wire.stream_options.include_usage)
    return ChatCall(request, bool(wire.stream), include_usage)


def _logprobs(wire: ChatCompletionRequest) -> int | None:
    if wire.top_logprobs is not None and not wire.logprobs:
        raise Invalid("'top_logprobs' is only accepted together with 'logprobs': true", param="top_logprobs")
    return (wire.top_logprobs or 0) if wire.logprobs else None


def _message(wire: RequestMessage, param: str, images: ImageReader) -> Message:
    return Message(ROLES[wire.role], _content(wire, param, images), wire.name)


def _content(wire: RequestMessage, param: str, images: ImageReader) -> str:
    if isinstance(wire.content, str):
        return without_marks(wire.content)
    pieces = []
    for index, part in enumerate(wire.content):
        if isinstance(part, ImagePart):
            where = f"{param}.content.{index}"
            if wire.role != "user":
                raise Invalid(f"'{where}' is an image; only messages of the role 'user' may have some", param=where)
            images.read(part, where)
            pieces.append(IMAGE_MARK)
        else:
            pieces.append(without_marks(part.text))
    return "".join(pieces)
