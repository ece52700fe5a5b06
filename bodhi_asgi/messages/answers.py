"""What a model answers, whole and piece by piece, and the tokens that it took."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TypeAlias

from bodhi_asgi.messages.conversation import ToolCall


class FinishReason(StrEnum):
    """Why generation ended well."""

    STOP = "stop"  # the model ended its turn, or a stop string was reached
    LENGTH = "length"  # ``max_tokens`` or the context is used up
    TOOL_CALLS = "tool_calls"  # the model ended its turn and waits for what its tools say


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written.

    ``cached_tokens`` of the prompt's did not have to be computed again; ``reasoning_tokens`` are those of the written
    ones that were thoughts. ``drafted_tokens`` were guessed before they were computed, and ``accepted_tokens`` of those
    came true.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0
    drafted_tokens: int = 0
    accepted_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Vectors:
    """One row of ``width`` numbers for each of the next texts, in their order; 32-bit floats, least byte first."""

    width: int
    data: bytes


@dataclass(frozen=True, slots=True)
class TokenIds:
    """The next tokens of a text, and the text of each where it was asked for."""

    ids: tuple[int, ...]
    pieces: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TokenLogprob:
    """A token, its bytes, and the natural logarithm of its probability by the model's own logits.

    ``top`` are the likeliest tokens at its place, likeliest first. The first token of all has no probability.
    """

    token: int
    piece: bytes
    logprob: float | None
    top: tuple["TokenLogprob", ...] = ()


@dataclass(frozen=True, slots=True)
class Logprobs:
    """Of the tokens whose text comes with it."""

    tokens: tuple[TokenLogprob, ...]


Part: TypeAlias = Vectors | TokenIds | Logprobs
"""A piece of an answer that is no text, or goes with its text."""


@dataclass(frozen=True, slots=True)
class ToolCallDelta:
    """A piece of a call. The first one of each ``index`` has ``id`` and ``name``; ``arguments`` are joined to JSON."""

    index: int
    id: str | None = None
    name: str | None = None
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an answer. Its last one has ``finish``; the last one of all has ``usage``; text may come with it.

    ``index`` says which answer it belongs to, where several were asked for. ``part`` is a piece that is no text.
    ``opening`` is what the end of the prompt says of the answer already, as when a template opens the thinking; it
    comes first and alone. An engine's ``text`` holds everything; ``reasoning`` and ``tool_calls`` are read out of it.
    """

    text: str = ""
    finish: FinishReason | None = None
    usage: Usage | None = None
    index: int = 0
    part: Part | None = None
    opening: str = ""
    reasoning: str = ""
    tool_calls: tuple[ToolCallDelta, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """One whole answer."""

    text: str
    finish: FinishReason
    reasoning: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    logprobs: tuple[TokenLogprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Reply:
    """Every answer that was asked for, in order."""

    answers: tuple[Answer, ...]
    usage: Usage

    def without_logprobs(self) -> "Reply":
        """The same without log probabilities."""
        return replace(self, answers=tuple(replace(answer, logprobs=()) for answer in self.answers))
