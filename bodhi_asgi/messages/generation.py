"""What a model is asked to write, and how: sampling, constraints, adapters and the request that holds them."""

from dataclasses import dataclass
from enum import StrEnum

from bodhi_asgi.messages.conversation import Prompt, ToolUse


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
    (0: not at all, negative: for good); ``None`` leaves that as it is. ``assumed`` names the fields that have the value
    of the dialect because the client gave none, so that what the model's own alias says may take its place. Of the
    requests of one caller that wait for a slot, those of the lowest ``priority`` go first.
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
    assumed: tuple[str, ...] = ()
    priority: int = 0

    @property
    def is_guided(self) -> bool:
        """Whether its answer is held to a grammar, which has to be compiled first."""
        return self.constraint is not None or self.tool_use is not None
