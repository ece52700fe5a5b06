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

    model: Annotated[
        Annotated[str, Field(min_length=1, max_length=256)], Field(description="The name of a model or an alias.")
    ]
    prompt: Annotated[Input, Field(description="A text to go on with, several, or their tokens.")]
    suffix: Annotated[
        str | None, Field(description="The text behind a gap, which is filled, for models that have marks for it.")
    ] = None
    max_tokens: Annotated[
        Annotated[int, Field(ge=0, le=INT64_MAX), WHOLE] | None, Field(description="The most tokens of an answer.")
    ] = None
    stream: Annotated[bool | None, Field(description="Send the answer piece by piece, as server-sent events.")] = None
    stream_options: Annotated[
        CompletionStreamOptions | None, Field(description="With stream: whether the last chunk has the usage.")
    ] = None
    n: Annotated[
        Annotated[int, Field(ge=1, json_schema_extra={"maximum": 8}), WHOLE] | None,
        Field(description="How many answers are wanted; a setting may allow more or fewer."),
    ] = None
    best_of: Annotated[
        Annotated[int, Field(ge=1, json_schema_extra={"maximum": 8}), WHOLE] | None,
        Field(description="Write so many answers and give the likeliest of them."),
    ] = None
    logprobs: Annotated[
        Annotated[int, Field(ge=0, le=5), WHOLE] | None,
        Field(description="Log probabilities, with so many of the likeliest tokens at each place."),
    ] = None
    echo: Annotated[bool | None, Field(description="Begin each answer with its prompt.")] = None
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
    priority: Annotated[
        Annotated[int, Field(ge=-100, le=100), WHOLE] | None,
        Field(description="Of the requests of one caller that wait, the lowest goes first; 0 unless said otherwise."),
    ] = None
    user: Annotated[Annotated[str, Field(max_length=512)] | None, Field(description="Taken and not used.")] = None


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
