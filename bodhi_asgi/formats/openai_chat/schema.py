"""The shapes of ``POST /v1/chat/completions``: request, completion, chunk.

Source: the OpenAI API reference, chat object and chat completion chunk object. Ranges stand in the fields, so that the
OpenAPI document shows what the decoder enforces; the options of sampling are those of every dialect.
"""

from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BaseModel, Discriminator, Field, SerializerFunctionWrapHandler, Tag, model_serializer

from bodhi_asgi.formats.openai_chat.logprobs import ChoiceLogprobs
from bodhi_asgi.types import INT64_MAX
from bodhi_asgi.validation import WHOLE, WireModel
from bodhi_asgi.wire.adapters import AdapterUses
from bodhi_asgi.wire.constraint import GuidedOptions
from bodhi_asgi.wire.images import ImagePart
from bodhi_asgi.wire.keep_alive import KeepAlive
from bodhi_asgi.wire.sampling import SamplingOptions
from bodhi_asgi.wire.thinking import ThinkingOptions
from bodhi_asgi.wire.tools import ToolName, ToolOptions
from bodhi_asgi.wire.usage import UsageShape


class TextPart(WireModel):
    """Text as a piece of content. Audio is not read by this version."""

    type: Literal["text"]
    text: str


MAX_PARTS: Final = 1024
"""Of one message; each takes its time to be read, however little it says."""


def _form_of(part: Any) -> str | None:
    kind = part.get("type") if isinstance(part, dict) else getattr(part, "type", None)
    return {"text": "[text]", "image_url": "[image]"}.get(kind) if isinstance(kind, str) else None


ContentPart: TypeAlias = Annotated[
    Annotated[TextPart, Tag("[text]")] | Annotated[ImagePart, Tag("[image]")],
    Discriminator(
        _form_of,
        custom_error_type="content_part",
        custom_error_message="parts of the type 'text' or 'image_url' are accepted",
    ),
]
"""The tags are in brackets because those are left out of the path of a fault."""


class CalledFunction(WireModel):
    """A function that was called. ``arguments`` are JSON as text."""

    name: ToolName
    arguments: str


class MadeCall(WireModel):
    """A call that the assistant made in an earlier turn."""

    id: Annotated[str, Field(min_length=1, max_length=256)]
    type: Literal["function"] = "function"
    function: CalledFunction


class RequestMessage(WireModel):
    """One turn of the conversation; ``developer`` is another name for ``system``.

    An assistant's turn may call tools, and then has no need of content; a turn of the role ``tool`` answers one call.
    The role ``function`` and ``function_call`` are the older forms of these. What an answer has besides may come back
    with it as long as it is empty.
    """

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Annotated[list[ContentPart], Field(min_length=1, max_length=MAX_PARTS, fail_fast=True)] | None = None
    name: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    tool_calls: Annotated[list[MadeCall], Field(max_length=128, fail_fast=True)] | None = None
    tool_call_id: Annotated[str, Field(min_length=1, max_length=256)] | None = None
    function_call: CalledFunction | None = None
    reasoning_content: str | None = None
    refusal: None = None
    audio: None = None
    annotations: Annotated[list[Any], Field(max_length=0, fail_fast=True)] | None = None


class StreamOptions(WireModel):
    """Options that go with ``stream``."""

    include_usage: bool | None = None


class ChatCompletionRequest(SamplingOptions, GuidedOptions, ToolOptions, ThinkingOptions):
    """What a client asks for. A parameter that is ``null`` counts as absent."""

    model: Annotated[
        Annotated[str, Field(min_length=1, max_length=256)], Field(description="The name of a model or an alias.")
    ]
    messages: Annotated[
        Annotated[list[RequestMessage], Field(min_length=1, fail_fast=True)],
        Field(description="The turns of the conversation, each with a role and content."),
    ]
    stream: Annotated[bool | None, Field(description="Send the answer piece by piece, as server-sent events.")] = None
    stream_options: Annotated[
        StreamOptions | None, Field(description="With stream: whether the last chunk has the usage.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, Field(ge=1, le=INT64_MAX), WHOLE] | None, Field(description="The most tokens of an answer.")
    ] = None
    max_completion_tokens: Annotated[
        Annotated[int, Field(ge=1, le=INT64_MAX), WHOLE] | None, Field(description="Another name for max_tokens.")
    ] = None
    n: Annotated[
        Annotated[int, Field(ge=1, json_schema_extra={"maximum": 8}), WHOLE] | None,
        Field(description="How many answers are wanted; a setting may allow more or fewer."),
    ] = None
    lora: Annotated[
        AdapterUses | None,
        Field(description="The adapters that apply, by the names that the settings of the model give them."),
    ] = None
    keep_alive: Annotated[
        KeepAlive | None,
        Field(
            description="How long the model stays loaded afterwards: seconds, or a duration such as 5m; -1 is for good."
        ),
    ] = None
    logprobs: Annotated[bool | None, Field(description="Whether the tokens come with their log probabilities.")] = None
    top_logprobs: Annotated[
        Annotated[int, Field(ge=0, le=20), WHOLE] | None,
        Field(description="With logprobs: so many of the likeliest tokens at each place."),
    ] = None
    priority: Annotated[
        Annotated[int, Field(ge=-100, le=100), WHOLE] | None,
        Field(description="Of the requests of one caller that wait, the lowest goes first; 0 unless said otherwise."),
    ] = None
    user: Annotated[Annotated[str, Field(max_length=512)] | None, Field(description="Taken and not used.")] = None


Finish: TypeAlias = Literal["stop", "length", "tool_calls", "function_call"]


class CallShape(BaseModel):
    """The function that a call names, with its arguments as JSON text."""

    name: str
    arguments: str


class ToolCallShape(BaseModel):
    """A call of a tool."""

    id: str
    type: Literal["function"] = "function"
    function: CallShape


class ReplyMessage(BaseModel):
    """What the model said, thought and called. What it did not do is left out."""

    role: Literal["assistant"] = "assistant"
    content: str | None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallShape] | None = None
    function_call: CallShape | None = None

    @model_serializer(mode="wrap")
    def _without_nothing(self, serialise: SerializerFunctionWrapHandler) -> dict[str, Any]:
        shown: dict[str, Any] = serialise(self)
        return {name: value for name, value in shown.items() if value is not None or name == "content"}


class Choice(BaseModel):
    """One answer."""

    index: int = 0
    message: ReplyMessage
    finish_reason: Finish
    logprobs: ChoiceLogprobs | None = None


class ChatCompletion(BaseModel):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: UsageShape

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].message.content or ""


class CallPiece(BaseModel):
    """What a chunk adds to a call's function: the name comes first, arguments in pieces."""

    name: str | None = None
    arguments: str | None = None


class ToolCallPiece(BaseModel):
    """What a chunk adds to the call ``index``; its first piece has the id."""

    index: int
    id: str | None = None
    type: Literal["function"] | None = None
    function: CallPiece | None = None


class DeltaShape(BaseModel):
    """What a chunk adds to the message."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    reasoning_content: str | None = None
    tool_calls: list[ToolCallPiece] | None = None
    function_call: CallPiece | None = None


class ChunkChoice(BaseModel):
    """A chunk's part of one answer."""

    index: int = 0
    delta: DeltaShape
    finish_reason: Finish | None = None
    logprobs: ChoiceLogprobs | None = None


class ChatCompletionChunk(BaseModel):
    """A piece of a streamed answer; the last one has ``finish_reason``, and usage comes in one without choices."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: UsageShape | None = None

    @property
    def text(self) -> str:
        """The text this chunk adds."""
        return (self.choices[0].delta.content or "") if self.choices else ""
