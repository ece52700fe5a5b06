"""From a chat completions body to the neutral request, refusing by name whatever is wrong, unknown or not supported."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_chat.conversation import messages_of
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.generation import GenerateRequest
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated
from bodhi_asgi.wire.adapters import adapters_of
from bodhi_asgi.wire.constraint import constraint_of
from bodhi_asgi.wire.images import ImageReader
from bodhi_asgi.wire.limits import RequestLimits
from bodhi_asgi.wire.refusal import without_neutral
from bodhi_asgi.wire.sampling import choices_of, endings_of, sampling_of
from bodhi_asgi.wire.thinking import thinking_of
from bodhi_asgi.wire.tools import tools_of

NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
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
        "safety_identifier",
        "verbosity",
        "web_search_options",
    }
)
"""Parameters of the dialect that no value of can be honoured here."""


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A decoded call: what to generate, and how the client wants to receive it (calls in the older form, or not)."""

    request: GenerateRequest
    stream: bool
    include_usage: bool
    is_legacy: bool = False


def decode(body: JSONObject | ChatCompletionRequest, limits: RequestLimits) -> ChatCall:
    """Translate a chat completions body.

    Raises :class:`~bodhi_asgi.errors.Invalid` (or a subclass) whose ``param`` is the path of the offending field and
    whose message says what is accepted.
    """
    most = {"messages": limits.messages, "tools": limits.tools, "functions": limits.tools}
    wire = (
        body
        if isinstance(body, ChatCompletionRequest)
        else validated(ChatCompletionRequest, without_neutral(body, NEUTRAL, UNSUPPORTED), most)
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
    tools, tool_use = tools_of(wire, limits)
    options, budget = thinking_of(wire)
    images = ImageReader(limits)
    messages = messages_of(wire.messages, images)
    request = GenerateRequest(
        model=wire.model,
        prompt=ChatPrompt(messages, tools, options, images=tuple(images.images)),
        sampling=sampling_of(wire, limits),
        n=choices_of(wire.n, limits),
        logprobs=_logprobs(wire),
        adapters=adapters_of(wire.lora),
        keep_alive_s=wire.keep_alive,
        priority=wire.priority or 0,
        constraint=constraint_of(wire),
        tool_use=tool_use,
        thinking_budget=budget,
        **endings_of(wire, limits, wire.max_completion_tokens or wire.max_tokens),
    )
    include_usage = bool(wire.stream_options and wire.stream_options.include_usage)
    return ChatCall(request, bool(wire.stream), include_usage, is_legacy=wire.functions is not None)


def _logprobs(wire: ChatCompletionRequest) -> int | None:
    if wire.top_logprobs is not None and not wire.logprobs:
        raise Invalid("'top_logprobs' is only accepted together with 'logprobs': true", param="top_logprobs")
    return (wire.top_logprobs or 0) if wire.logprobs else None
