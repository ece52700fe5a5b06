"""``Agent``: a model, its tools and its limits, declared once and run for whoever asks.

It knows no server: the verbs it speaks with, and with them the caller and the grants, are given to each run.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from bodhi_asgi.agents.context import Chat
from bodhi_asgi.agents.decisions import Decision, decided
from bodhi_asgi.agents.errors import ToolUnusable
from bodhi_asgi.agents.limits import AgentLimits
from bodhi_asgi.agents.recipe import Recipe
from bodhi_asgi.agents.run import AgentRun
from bodhi_asgi.agents.state import AgentState
from bodhi_asgi.agents.threads import Threads
from bodhi_asgi.agents.tool import Tool, tool
from bodhi_asgi.agents.work import OpenTurn
from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.errors import ConfigurationInvalid, Invalid
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionRequest
from bodhi_asgi.types import JSONObject
from bodhi_asgi.validation import validated

MAX_TOOLS: Final = 128
OURS: Final = frozenset(
    {"messages", "stream", "stream_options", "tools", "parallel_tool_calls", "functions", "function_call", "n"}
)
"""Fields of a request that the loop itself fills in, or could not read the answer of."""


class Agent:
    """A model that uses Python functions of the host, in a loop that always ends and can wait for a person.

    ``tools`` are functions or what :func:`tool` made of them. With ``parallel`` the model may ask for several calls in
    one turn and they run at the same time; without, one after the other. ``threads`` is how many plain (not async)
    functions may run at once, in threads. ``tool_choice`` is OpenAI's and holds for the first turn: with a forced one
    no run would end. Further keywords are fields of the chat request, such as ``temperature`` or ``max_tokens``.

    Raises ToolUnusable and ConfigurationInvalid for what cannot work, so that an agent made at import is checked there.
    """

    def __init__(
        self,
        model: str,
        *,
        tools: Iterable[Tool | Callable[..., Any]] = (),
        instructions: str = "",
        limits: AgentLimits | None = None,
        parallel: bool = False,
        tool_choice: str | Mapping[str, Any] | None = None,
        threads: int = 16,
        clock: Clock | None = None,
        **request: Any,
    ) -> None:
        known = _by_name([one if isinstance(one, Tool) else tool(one) for one in tools])
        if threads < 1:
            raise ConfigurationInvalid(f"'threads' is {threads}; at least 1 is accepted", param="threads")
        _must_be_fields(model, request)
        fields: JSONObject = {"model": model, "stream_options": {"include_usage": True}, **request}
        if known:
            fields |= {"tools": [one.shape for one in known.values()], "parallel_tool_calls": parallel}
        if tool_choice is not None:
            fields["tool_choice"] = tool_choice if isinstance(tool_choice, str) else dict(tool_choice)
        self._recipe = Recipe(
            fields=fields,
            instructions=instructions,
            tools=known,
            limits=limits or AgentLimits(),
            parallel=parallel,
            threads=Threads(threads),
            clock=clock or SystemClock(),
        )

    @property
    def tools(self) -> Mapping[str, Tool]:
        """The tools by their names."""
        return self._recipe.tools

    def run(self, bodhi: Chat, prompt: str | Sequence[Mapping[str, Any]], *, deps: Any = None) -> AgentRun:
        """Answer ``prompt``, a question or a conversation in the OpenAI shapes, with the permissions of ``bodhi``.

        ``deps`` reaches the tools in their :class:`ToolContext`. Nothing runs until the run is iterated or awaited.
        """
        messages: list[JSONObject] = (
            [{"role": "user", "content": prompt}] if isinstance(prompt, str) else [dict(one) for one in prompt]
        )
        if self._recipe.instructions:
            for number, message in enumerate(messages):
                if message.get("role") in ("system", "developer"):
                    what = f"'messages.{number}' instructs the model, and this agent has instructions of its own"
                    raise Invalid(what, param=f"messages.{number}.role")
        return AgentRun(self._recipe, bodhi, deps, messages=messages)

    def resume(
        self, bodhi: Chat, state: AgentState, decisions: Mapping[str, Decision], *, deps: Any = None
    ) -> AgentRun:
        """Go on with a run that waited: ``decisions`` has an Approve or Deny for each pending call, by its id.

        ``state`` is trusted; see :class:`AgentState` for what that asks of the host. Raises DecisionInvalid.
        """
        calls, by_id = decided(state, decisions, self._recipe.tools)
        turn = OpenTurn(state.text, state.reasoning, calls, len(calls), dict(state.results), by_id)
        return AgentRun(self._recipe, bodhi, deps, messages=state.messages, spent=state.spent, turn=turn)


def _must_be_fields(model: str, request: JSONObject) -> None:
    for name in request:
        if name in OURS:
            raise ConfigurationInvalid(f"'{name}' is filled in by the agent; leave it out", param=name)
    conversation: JSONObject = {"model": model, "messages": [{"role": "user", "content": "?"}]}
    try:
        validated(ChatCompletionRequest, {**conversation, **request})
    except Invalid as error:
        raise ConfigurationInvalid(f"no run of this agent can work: {error.message}", param=error.param) from None


def _by_name(tools: Sequence[Tool]) -> dict[str, Tool]:
    known = {one.name: one for one in tools}
    if len(known) < len(tools):
        twice = next(
            one.name for number, one in enumerate(tools) if one.name in {other.name for other in tools[:number]}
        )
        raise ToolUnusable(f"two tools are named '{twice}'; give one of them another with tool(name=...)", param=twice)
    if len(tools) > MAX_TOOLS:
        raise ToolUnusable(f"{len(tools)} tools; at most {MAX_TOOLS} are accepted", param="tools")
    return known
