"""From a chat completions body to the neutral request, refusing by name whatever is wrong, unknown or not supported."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest, RequestMessage
from bodhi_asgi.messages import ChatPrompt, GenerateRequest, Message, Role, Sampling
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated

ROLES: Final[Mapping[str, Role]] = MappingProxyType(
    {"system": Role.SYSTEM, "developer": Role.SYSTEM, "user": Role.USER, "assistant": Role.ASSISTANT}
)

NEUTRAL: Final[Mapping[str, tuple[Any, ...]]] = MappingProxyType(
    {
        "n": (1,),
        "logprobs": (False,),
        "response_format": ({"type": "text"},),
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
        "top_logprobs",
        "verbosity",
        "web_search_options",
    }
)
"""Parameters of the dialect that no value of can be honoured here."""


class ParameterUnsupported(Invalid):
    """The parameter belongs to the dialect and is not supported; it is refused, never silently dropped."""

    code = "unsupported_parameter"
    openai_code = "unsupported_parameter"


@dataclass(frozen=True, slots=True)
class ChatLimits:
    """How much one request may ask for; sizes of strings in UTF-8 bytes."""

    messages: int = 2048
    stop_strings: int = 16
    stop_bytes: int = 256
    logit_bias: int = 1024


@dataclass(frozen=True, slots=True)
class ChatCall:
    """A decoded call: what to generate, and how the client wants to receive it."""

    request: GenerateRequest
    stream: bool
    include_usage: bool


def decode(body: JSONObject | ChatCompletionRequest, limits: ChatLimits) -> ChatCall:
    """Translate a chat completions body.

    Raises :class:`~bodhi_asgi.errors.Invalid` (or a subclass) whose ``param`` is the path of the offending field and
    whose message says what is accepted.
    """
    wire = body if isinstance(body, ChatCompletionRequest) else validated(ChatCompletionRequest, _without_neutral(body))
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
    request = GenerateRequest(
        model=wire.model,
        prompt=ChatPrompt(tuple(_message(message) for message in wire.messages)),
        sampling=Sampling(
            temperature=wire.temperature,
            top_p=wire.top_p,
            top_k=wire.top_k,
            min_p=wire.min_p,
            typical_p=wire.typical_p,
            repeat_penalty=wire.repeat_penalty,
            frequency_penalty=wire.frequency_penalty,
            presence_penalty=wire.presence_penalty,
            penalty_last_n=wire.penalty_last_n,
            seed=wire.seed,
            logit_bias=_logit_bias(wire.logit_bias, limits),
        ),
        max_tokens=wire.max_completion_tokens or wire.max_tokens,
        stop=_stop(wire.stop, limits),
    )
    include_usage = bool(wire.stream_options and wire.stream_options.include_usage)
    return ChatCall(request, bool(wire.stream), include_usage)


def _without_neutral(body: JSONObject) -> JSONObject:
    """The body without parameters that are null or ask for nothing, unsupported ones refused."""
    kept: JSONObject = {}
    for name, value in body.items():
        if value is None or (name in NEUTRAL and _is_neutral(value, NEUTRAL[name])):
            continue
        if name in NEUTRAL or name in UNSUPPORTED:
            accepted = " or ".join(repr(neutral) for neutral in NEUTRAL.get(name, ()))
            hint = f"only {accepted} is accepted" if accepted else "leave it out"
            raise ParameterUnsupported(f"'{name}' is not supported here; {hint}", param=name)
        kept[name] = value
    return kept


def _is_neutral(value: object, neutral: tuple[object, ...]) -> bool:
    # 1 == True in Python, and not in JSON.
    return any(type(value) is type(candidate) and value == candidate for candidate in neutral)


def _message(wire: RequestMessage) -> Message:
    content = wire.content if isinstance(wire.content, str) else "".join(part.text for part in wire.content)
    return Message(ROLES[wire.role], content, wire.name)


def _stop(stop: str | list[str] | None, limits: ChatLimits) -> tuple[str, ...]:
    strings = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(strings) > limits.stop_strings:
        raise Invalid(f"'stop' has {len(strings)} strings; at most {limits.stop_strings} are accepted", param="stop")
    for index, string in enumerate(strings):
        size = len(string.encode())
        if not 1 <= size <= limits.stop_bytes:
            raise Invalid(
                f"'stop.{index}' has {size} bytes; from 1 to {limits.stop_bytes} are accepted", param=f"stop.{index}"
            )
    return strings


def _logit_bias(bias: dict[str, float] | None, limits: ChatLimits) -> tuple[tuple[int, float], ...]:
    if not bias:
        return ()
    if len(bias) > limits.logit_bias:
        raise Invalid(
            f"'logit_bias' has {len(bias)} entries; at most {limits.logit_bias} are accepted", param="logit_bias"
        )
    pairs = []
    for token, value in bias.items():
        if not (token.isascii() and token.isdigit() and len(token) <= 9):
            raise Invalid(f"'logit_bias' has the key {token[:40]!r}; keys are token ids as text", param="logit_bias")
        pairs.append((int(token), value))
    return tuple(pairs)
