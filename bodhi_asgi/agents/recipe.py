"""What all runs of one agent have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bodhi_asgi.agents.limits import AgentLimits, Spent
from bodhi_asgi.agents.threads import Threads
from bodhi_asgi.agents.tool import Tool
from bodhi_asgi.clock import Clock
from bodhi_asgi.types import JSON, JSONObject


@dataclass(frozen=True, slots=True)
class Recipe:
    """``fields`` are those of every turn's request, besides the conversation."""

    fields: JSONObject
    instructions: str
    tools: Mapping[str, Tool]
    limits: AgentLimits
    parallel: bool
    threads: Threads
    clock: Clock

    def request(self, messages: Sequence[JSONObject], spent: Spent) -> JSONObject:
        """The request of the next turn: a forced choice of tools holds for the first, and no turn may exceed the tokens
        that are left where it has a limit of its own."""
        told: list[JSON] = [{"role": "system", "content": self.instructions}] if self.instructions else []
        fields = dict(self.fields)
        if spent.turns:
            fields.pop("tool_choice", None)
        left = self.limits.tokens - spent.tokens
        for name in ("max_tokens", "max_completion_tokens"):
            if isinstance(wanted := fields.get(name), int):
                fields[name] = min(wanted, left)
        return {**fields, "messages": [*told, *messages]}
