"""What happens in a run, step by step, as frozen values; each one knows its form for a browser.

``json()`` leaves out what is the host's to keep: the conversation and the state of a paused run.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import ClassVar, TypeAlias

from bodhi_asgi.agents.limits import AgentOutcome, Spent
from bodhi_asgi.agents.plain import dumped
from bodhi_asgi.agents.state import AgentState
from bodhi_asgi.types import JSON, JSONObject


@dataclass(frozen=True, slots=True)
class AgentEvent:
    """The root. ``kind`` names the event where types have no names."""

    kind: ClassVar[str] = ""

    def plain(self) -> JSONObject:
        """The event as plain data, ``kind`` first."""
        return {"kind": self.kind, **{one.name: getattr(self, one.name) for one in fields(self)}}

    def json(self) -> str:
        """The event as one line of JSON, as an event stream carries it."""
        return dumped(self.plain())


@dataclass(frozen=True, slots=True)
class TextAdded(AgentEvent):
    """The model said more."""

    kind = "text"
    text: str


@dataclass(frozen=True, slots=True)
class ReasoningAdded(AgentEvent):
    """The model thought more, before it answers."""

    kind = "reasoning"
    text: str


@dataclass(frozen=True, slots=True)
class ToolCalled(AgentEvent):
    """A call with valid arguments has begun."""

    kind = "tool_called"
    call_id: str
    name: str
    arguments: JSONObject


@dataclass(frozen=True, slots=True)
class ToolReturned(AgentEvent):
    """A call gave a result; ``content`` is what the model is told."""

    kind = "tool_returned"
    call_id: str
    name: str
    content: str


@dataclass(frozen=True, slots=True)
class ToolFailed(AgentEvent):
    """A call gave no result, or was not made; ``message`` is what the model is told.

    ``code`` is ``unknown_tool``, ``arguments_invalid``, ``denied``, ``refused`` (by the tool itself, with
    ``ToolRefused``), ``failed`` (any other exception), ``timeout``, ``busy``, ``result_too_long`` or ``limit``.
    """

    kind = "tool_failed"
    call_id: str
    name: str
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class ApprovalAsked(AgentEvent):
    """A call waits for a person; the run pauses after the other calls of its turn are done."""

    kind = "approval_asked"
    call_id: str
    name: str
    arguments: JSONObject


@dataclass(frozen=True, slots=True)
class AgentResult:
    """How a run ended.

    ``text`` is the model's last answer, what there was of it when ``outcome`` is not ``finished``. ``messages`` is the
    conversation in the OpenAI shapes without the agent's instructions: it can be stored, and continued with another
    run. ``state`` is there when the outcome is ``approval_needed``, to be resumed with decisions.
    """

    outcome: AgentOutcome
    text: str
    messages: Sequence[JSONObject]
    spent: Spent
    state: AgentState | None = None


@dataclass(frozen=True, slots=True)
class RunFinished(AgentEvent):
    """The last event of every run that was not broken off by an error."""

    kind = "finished"
    result: AgentResult

    def plain(self) -> JSONObject:
        """AgentOutcome, text and usage; the state and the conversation stay with the host."""
        spent = self.result.spent
        waiting = self.result.state.pending if self.result.state else ()
        pending: list[JSON] = [{"call_id": one.id, "name": one.name, "arguments": one.read} for one in waiting]
        return {
            "kind": self.kind,
            "outcome": self.result.outcome.value,
            "text": self.result.text,
            "state_id": self.result.state.id if self.result.state else None,
            "pending": pending,
            "usage": {
                "prompt_tokens": spent.prompt_tokens,
                "completion_tokens": spent.completion_tokens,
                "total_tokens": spent.tokens,
            },
        }


Event: TypeAlias = TextAdded | ReasoningAdded | ToolCalled | ToolReturned | ToolFailed | ApprovalAsked | RunFinished
