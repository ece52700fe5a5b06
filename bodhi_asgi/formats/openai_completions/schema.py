"""The shapes of ``POST /v1/completions``: request, completion, chunk.

Source: the OpenAI API reference, completion object; a chunk has the same shape. Ranges stand in the fields; the options
of sampling and of constraints are those of every dialect.
"""

from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, Field

from bodhi_asgi.types import INT64_MAX
from bodhi_asgi.validation import WHOLE, WireModel
from bodhi_asgi.wire.adapters import AdapterUses
from bodhi_asgi.wire.constraint import GuidedOptions
from bodhi_asgi.wire.inputs import Input
from bodhi_asgi.wire.keep_alive import KeepAlive
from bodhi_asgi.wire.sampling import SamplingOptions
from bodhi_asgi.wire.usage import UsageShape

Finish: TypeAlias = Literal["stop", "length"]


class CompletionStreamOptions(WireModel):
    """Options that go with ``stream``."""

    include_usage: bool | None = None


class CompletionRequest(SamplingOptions, GuidedOptions):
    """What a client asks for. A parameter that is ``null`` counts as absent.

    Text is text: what reads like a control token in a prompt is not one, except in a prompt of token ids.
    """

    model: Annotated[str, Field(min_length=1, max_length=256)]
    prompt: Input
    suffix: str | None = None
    max_tokens: Annotated[int, Field(ge=0, le=INT64_MAX), WHOLE] | None = None
    stream: bool | None = None
    stream_options: CompletionStreamOptions | None = None
    n: Annotated[int, Field(ge=1, json_schema_extra={"maximum": 8}), WHOLE] | None = None
    best_of: Annotated[int, Field(ge=1, json_schema_extra={"maximum": 8}), WHOLE] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5), WHOLE] | None = None
    echo: bool | None = None
    lora: AdapterUses | None = None
    keep_alive: KeepAlive | None = None
    user: Annotated[str, Field(max_length=512)] | None = None


class CompletionLogprobs(BaseModel):
    """Lists of one entry per token whose text is there; offsets count characters from the beginning of the choice.

    ``top_logprobs`` has the token itself too when it is none of the likeliest. The first token of an echoed prompt has
    no probability.
    """

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(BaseModel):
    """One continuation, or in a chunk a piece of it."""

    text: str
    index: int
    finish_reason: Finish | None
    logprobs: CompletionLogprobs | None = None


class Completion(BaseModel):
    """Every continuation; those of the first prompt come first. A chunk of a stream has the same shape."""

    id: str
    object: Literal["text_completion"] = "text_completion"
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageShape | None = None

    @property
    def text(self) -> str:
        """The text of the first choice."""
        return self.choices[0].text if self.choices else ""
