"""What a person says to a call that waits: yes, yes with other arguments, or no and why."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from bodhi_asgi.agents.errors import DecisionInvalid
from bodhi_asgi.agents.plain import dumped
from bodhi_asgi.agents.state import AgentState, Call
from bodhi_asgi.agents.tool import ArgumentsInvalid, Tool


@dataclass(frozen=True, slots=True)
class Approve:
    """The call is made, with ``arguments`` in place of the model's when given; they are checked as the model's are."""

    arguments: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Deny:
    """The call is not made; the model is told so, and ``reason`` when it is not empty."""

    reason: str = ""


Decision: TypeAlias = Approve | Deny


def decided(
    state: AgentState, decisions: Mapping[str, Decision], tools: Mapping[str, Tool]
) -> tuple[tuple[Call, ...], dict[str, Decision]]:
    """The calls of ``state`` as they are to be made, and the decision on each that waited.

    Raises DecisionInvalid when a call has no decision, a decision no call, or edited arguments do not fit the tool.
    """
    waiting = {call.id for call in state.pending}
    for call_id in [*(waiting - set(decisions)), *(set(decisions) - waiting)]:
        what = "waits and has no decision" if call_id in waiting else "does not wait for a decision"
        raise DecisionInvalid(f"the call {call_id[:80]!r} {what}", param=call_id)
    for call_id, decision in decisions.items():
        if not isinstance(decision, Approve | Deny):
            raise DecisionInvalid(f"the decision on {call_id[:80]!r} is not an Approve or a Deny", param=call_id)
    calls = tuple(_edited(call, decisions.get(call.id), tools.get(call.name)) for call in state.calls)
    return calls, dict(decisions)


def _edited(call: Call, decision: Decision | None, tool: Tool | None) -> Call:
    if not isinstance(decision, Approve) or decision.arguments is None:
        return call
    try:
        arguments = dumped(dict(decision.arguments))
        if tool is not None:
            tool.read(arguments)
    except ArgumentsInvalid as error:
        raise DecisionInvalid(f"the edited arguments do not fit: {error.message}", param=error.param) from None
    except TypeError:
        raise DecisionInvalid("the edited arguments are not plain JSON", param=call.id) from None
    return Call(call.id, call.name, arguments)
