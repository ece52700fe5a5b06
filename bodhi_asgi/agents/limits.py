"""How far a run may go, and how far it has come. Every limit is finite, so that every run ends."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from math import isfinite
from typing import Self

from bodhi_asgi.errors import ConfigurationInvalid


class AgentOutcome(StrEnum):
    """How a run came to its end."""

    FINISHED = "finished"  # the model answered and asks for nothing more
    APPROVAL_NEEDED = "approval_needed"  # a person must decide; resume with the state
    LENGTH = "length"  # ``max_tokens`` or the context was used up in the middle of an answer
    TURN_LIMIT = "turn_limit"
    TOOL_CALL_LIMIT = "tool_call_limit"
    TOKEN_LIMIT = "token_limit"  # noqa: S105
    TIME_LIMIT = "time_limit"


@dataclass(frozen=True, slots=True)
class AgentLimits:
    """The limits of one run, pauses for approval not counted.

    ``turns`` of the model, ``tool_calls`` made, ``tokens`` read and written over all turns (looked at between turns, so
    that the last one may go beyond it), ``time_s`` of work. ``tool_timeout_s`` and ``tool_result_bytes`` are those of
    one call.
    """

    turns: int = 10
    tool_calls: int = 32
    tokens: int = 200_000
    time_s: float = 300.0
    tool_timeout_s: float = 30.0
    tool_result_bytes: int = 32_768

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            fits = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value) and value > 0
            if not fits or (one.type is int and not isinstance(value, int)):
                raise ConfigurationInvalid(
                    f"the limit '{one.name}' is {value!r}; a positive {one.type.__name__} is accepted",  # type: ignore[union-attr]
                    param=one.name,
                )


@dataclass(frozen=True, slots=True)
class Spent:
    """What a run has used so far; ``time_s`` without its pauses."""

    turns: int = 0
    tool_calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    time_s: float = 0.0

    @property
    def tokens(self) -> int:
        """Read and written, over all turns."""
        return self.prompt_tokens + self.completion_tokens

    def more(self, **by: int) -> Self:
        """With more of some."""
        return replace(self, **{name: getattr(self, name) + amount for name, amount in by.items()})

    def exceeded(self, limits: AgentLimits) -> AgentOutcome | None:
        """The limit that forbids another turn of the model."""
        if self.time_s >= limits.time_s:
            return AgentOutcome.TIME_LIMIT
        if self.tokens >= limits.tokens:
            return AgentOutcome.TOKEN_LIMIT
        return AgentOutcome.TURN_LIMIT if self.turns >= limits.turns else None
