"""The one inner language of inference: what is asked of a model and what it answers, in no provider's words.

Dialects translate to and from these values; the engine reads them. Frozen values of plain data, so that they cross the
engine's socket as JSON and can be compared in tests.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Final, Literal, TypeAlias


class Role(StrEnum):
    """Who speaks in a conversation."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class FinishReason(StrEnum):
    """Why generation ended well."""

    STOP = "stop"  # the model ended its turn, or a stop string was reached
    LENGTH = "length"  # ``max_tokens`` or the context is used up
    TOOL_CALLS = "tool_calls"  # the model ended its turn and waits for what its tools say


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that a model made. ``arguments`` are an object as JSON text."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. ``content`` is text; ``name`` distinguishes speakers of one role where a template reads it.

    An assistant's turn may have ``tool_calls`` and ``reasoning``; a tool's turn says which call it answers.
    """

    role: Role
    content: str
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    reasoning: str | None = None


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool that a model may call. ``parameters`` is the JSON schema of its arguments, as JSON text."""

    name: str
    description: str = ""
    parameters: str = '{"type": "object", "properties": {}}'


@dataclass(frozen=True, slots=True)
class ToolUse:
    """How tools may be used. With ``required`` the answer is a call. ``names`` limits which (empty: all offered ones).

    Unless calls may be ``parallel``, an answer has one at most.
    """

    required: bool = False
    names: tuple[str, ...] = ()
    parallel: bool = True


TemplateOption: TypeAlias = str | int | float | bool


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Ranges: :mod:`bodhi_asgi.formats` enforces them where requests enter.

    ``None`` leaves the model's default. ``temperature`` 0 is greedy. ``top_k`` 0 is off. ``seed`` ``None`` draws one.
    The window of the repeat penalties is ``penalty_last_n`` tokens (0 off, -1 the context). ``logit_bias`` pairs a
    token id with what is added to its logit. ``mirostat`` 1 and 2 take the place of everything that narrows the choice.
    """

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    typical_p: float | None = None
    repeat_penalty: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    penalty_last_n: int | None = None
    seed: int | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    mirostat: int | None = None
    mirostat_tau: float | None = None
    mirostat_eta: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_penalty_last_n: int | None = None
    dry_sequence_breakers: tuple[str, ...] | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    top_n_sigma: float | None = None
    dynatemp_range: float | None = None
    dynatemp_exponent: float | None = None


class ConstraintKind(StrEnum):
    """How a constraint is written."""

    JSON_OBJECT = "json_object"  # any JSON object; there is no source
    JSON_SCHEMA = "json_schema"  # a schema as JSON text
    REGEX = "regex"  # a regular expression that matches the whole answer
    CHOICE = "choice"  # a JSON list of strings, one of which is the answer
    LARK = "lark"  # a Lark grammar, in llguidance's variant
    GBNF = "gbnf"  # a grammar in the notation of llama.cpp


@dataclass(frozen=True, slots=True)
class Constraint:
    """What the whole answer has to be. ``source`` is written as ``kind`` says; ``param`` is the request's field for it,
    which errors name.
    """

    kind: ConstraintKind
    source: str = ""
    param: str = "response_format"


IMAGE_MARK: Final = "\ufdd2"
"""Stands in a message's text where an image belongs: a noncharacter of Unicode, which no interchanged text may have."""


@dataclass(frozen=True, slots=True)
class Image:
    """A picture: a PNG, JPEG or GIF file as base64."""

    data: str


@dataclass(frozen=True, slots=True)
class ChatPrompt:
    """A conversation, to be rendered by the model's own chat template.

    ``tools`` are shown to the model; ``options`` are what the template reads besides, such as ``enable_thinking``.
    ``images`` belong to the marks in the messages, in their order.
    """

    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    options: tuple[tuple[str, TemplateOption], ...] = ()
    images: tuple[Image, ...] = ()


@dataclass(frozen=True, slots=True)
class TextPrompt:
    """Bare text, tokenised as it is."""

    text: str


@dataclass(frozen=True, slots=True)
class TokenPrompt:
    """Tokens that the client made itself; nothing is added to them."""

    tokens: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class InfillPrompt:
    """Text before and after what is to be written."""

    prefix: str
    suffix: str


Prompt: TypeAlias = ChatPrompt | TextPrompt | TokenPrompt | InfillPrompt


@dataclass(frozen=True, slots=True)
class AdapterChoice:
    """An adapter by the name it has in the settings of the model, and how strongly; ``None`` leaves its own scale."""

    name: str
    scale: float | None = None


@dataclass(frozen=True, slots=True)
class GenerateRequest:
    """What a model is asked for. ``max_tokens`` ``None`` means until the model stops or the context is full.

    An answer ends before one of the strings of ``stop``, at a token of ``stop_tokens``, and where the model ends it
    unless ``ignore_eos``; but not before ``min_tokens`` tokens. ``n`` answers are wanted; the engine is given a request
    for each of them. ``logprobs`` wants each token's log probability, and those of the likeliest so many at its place.
    The ``n`` likeliest of ``best_of`` are given, if those are more. ``echo`` puts a prompt of text or tokens before the
    answer. ``adapters`` are exactly those that apply; ``None`` means the model's own, as its settings say. ``tool_use``
    comes with tools; ``thinking_budget`` is in tokens. ``keep_alive_s`` is how long the model stays loaded afterwards
    (0: not at all, negative: for good); ``None`` leaves that as it is.
    """

    model: str
    prompt: Prompt
    sampling: Sampling = Sampling()
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    adapters: tuple[AdapterChoice, ...] | None = None
    keep_alive_s: float | None = None
    stop_tokens: tuple[int, ...] = ()
    min_tokens: int = 0
    ignore_eos: bool = False
    logprobs: int | None = None
    best_of: int = 1
    echo: bool = False
    constraint: Constraint | None = None
    tool_use: ToolUse | None = None
    thinking_budget: int | None = None

    @property
    def is_guided(self) -> bool:
        """Whether its answer is held to a grammar, which has to be compiled first."""
        return self.constraint is not None or self.tool_use is not None


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens read and written.

    ``cached_tokens`` of the prompt's did not have to be computed again; ``reasoning_tokens`` are those of the written
    ones that were thoughts.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    reasoning_tokens: int = 0
    cached_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class EmbedRequest:
    """Texts whose meaning is asked for as vectors of length one.

    ``dimensions`` keeps the first so many values of each, ``None`` all that the model has.
    """

    model: str
    inputs: tuple[TextPrompt | TokenPrompt, ...]
    dimensions: int | None = None


@dataclass(frozen=True, slots=True)
class RerankRequest:
    """Documents, each to be judged by how well it answers the query."""

    model: str
    query: str
    documents: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class TokenizeRequest:
    """A prompt as the model reads it. ``wants``: its tokens, these with the text of each, only their number,
    or the text of a rendered conversation.

    For bare text, ``add_special`` adds what the model begins and ends texts with, and ``parse_special`` takes the names
    of control tokens in it for the tokens themselves.
    """

    model: str
    prompt: Prompt
    wants: Literal["tokens", "pieces", "count", "text"]
    add_special: bool = True
    parse_special: bool = False


@dataclass(frozen=True, slots=True)
class DetokenizeRequest:
    """Tokens whose text is asked for, control tokens by their names."""

    model: str
    tokens: tuple[int, ...]


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


@dataclass(frozen=True, slots=True)
class Embeddings:
    """A vector for each input, as :class:`Vectors` keeps them, and the tokens that were read."""

    vectors: tuple[bytes, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Ranking:
    """For each document, in the request's order, how well it answers the query: from 0 to 1."""

    scores: tuple[float, ...]
    usage: Usage


@dataclass(frozen=True, slots=True)
class Tokens:
    """A prompt's tokens; ``count`` of them, which is all that is known when only the number was asked for.

    ``n_ctx`` is how many the model's context holds, the answer included. ``pieces`` are the texts of the tokens.
    """

    ids: tuple[int, ...]
    count: int
    n_ctx: int
    pieces: tuple[str, ...] = ()


ModelSource: TypeAlias = Literal["setting", "demo"]


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a caller may know of a model. ``usable`` is false for one that is listed and locked.

    ``created`` is in Unix seconds (the file's time), 0 when unknown.
    """

    id: str
    source: ModelSource
    created: int
    owned_by: str = "system"
    usable: bool = True


ModelCards: TypeAlias = Sequence[ModelCard]
