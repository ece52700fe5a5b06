"""The calls of one turn: which of them wait for a person, and the others made, in order or all at once."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from bodhi_asgi.agents.call import Ready, content_of, failed, perform
from bodhi_asgi.agents.context import Chat, ToolContext
from bodhi_asgi.agents.decisions import Decision, Deny
from bodhi_asgi.agents.events import ApprovalAsked, Event, ToolCalled, ToolFailed, ToolReturned
from bodhi_asgi.agents.recipe import Recipe
from bodhi_asgi.agents.state import Call
from bodhi_asgi.agents.timer import Timer
from bodhi_asgi.agents.tool import ArgumentsInvalid
from bodhi_asgi.types import JSONObject


@dataclass(slots=True)
class OpenTurn:
    """A turn of the model whose calls are not all done. Of its calls the first ``allowed`` may be made.

    What it thought is told to it again with the results: many models are trained to go on from there.
    """

    text: str
    reasoning: str
    calls: tuple[Call, ...]
    allowed: int
    results: dict[str, str] = field(default_factory=dict)
    decisions: Mapping[str, Decision] = field(default_factory=dict)

    @property
    def is_cut(self) -> bool:
        """Whether the model asked for more calls than may be made."""
        return self.allowed < len(self.calls)

    @property
    def waits(self) -> bool:
        """Whether a call has no result yet."""
        return len(self.results) < len(self.calls)

    def messages(self) -> list[JSONObject]:
        """The turn in the OpenAI shapes: what the model said, then the results in the order of the calls."""
        calls: list[Any] = [call.shape for call in self.calls]
        answers: list[JSONObject] = [
            {"role": "tool", "tool_call_id": call.id, "content": self.results[call.id]} for call in self.calls
        ]
        spoken: JSONObject = {"role": "assistant", "content": self.text or None, "tool_calls": calls}
        return [spoken | ({"reasoning_content": self.reasoning} if self.reasoning else {}), *answers]


@dataclass(frozen=True, slots=True)
class Work:
    """Makes the calls of a turn with an agent's tools, for one run."""

    recipe: Recipe
    chat: Chat
    deps: Any
    timer: Timer

    async def make(self, turn: OpenTurn) -> AsyncGenerator[Event]:
        """Make what can be made and write the results into ``turn``.

        Calls that need approval and have none are asked for and left without a result.
        """
        ready: list[Ready] = []
        for number, call in enumerate(turn.calls):
            if call.id in turn.results:
                continue
            verdict: Ready | Event = failed(call, "limit", "no more tools may be called")
            if number < turn.allowed:
                verdict = self._verdict(call, turn.decisions.get(call.id))
            if isinstance(verdict, Ready):
                ready.append(verdict)
                continue
            yield _noted(turn, verdict)
        async with aclosing(self._all_at_once(ready) if self.recipe.parallel else self._in_order(ready)) as events:
            async for event in events:
                yield _noted(turn, event)

    def _verdict(self, call: Call, decision: Decision | None) -> Ready | Event:
        """The call ready to be made, or why not."""
        if isinstance(decision, Deny):
            reason = f": {decision.reason}" if decision.reason else ""
            return failed(call, "denied", f"a person did not allow this call{reason}")
        tool = self.recipe.tools.get(call.name)
        if tool is None:
            known = ", ".join(self.recipe.tools)
            return failed(call, "unknown_tool", f"there is no tool {call.name[:64]!r}; there are: {known}")
        try:
            arguments = tool.read(call.arguments)
        except ArgumentsInvalid as error:
            return failed(call, "arguments_invalid", error.message)
        if decision is None and tool.asks(arguments):
            return ApprovalAsked(call.id, call.name, call.read)
        return Ready(call, tool, arguments)

    async def _in_order(self, ready: list[Ready]) -> AsyncGenerator[Event]:
        for one in ready:
            yield ToolCalled(one.call.id, one.call.name, one.call.read)
            yield await self._perform(one)

    async def _all_at_once(self, ready: list[Ready]) -> AsyncGenerator[Event]:
        for one in ready:
            yield ToolCalled(one.call.id, one.call.name, one.call.read)
        running = {asyncio.create_task(self._perform(one), name=f"bodhi-tool-{one.call.id}") for one in ready}
        try:
            while running:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    yield task.result()
        finally:
            for task in running:
                task.cancel()
            if running:
                await asyncio.wait(running)

    async def _perform(self, ready: Ready) -> ToolReturned | ToolFailed:
        limits = self.recipe.limits
        left_s = self.timer.left_s
        if left_s <= 0:
            return failed(ready.call, "limit", "the run is out of time")
        context = ToolContext(self.deps, self.chat, ready.call.id)
        timeout_s = min(ready.tool.timeout_s or limits.tool_timeout_s, left_s)
        return await perform(
            ready, context, self.recipe.threads, timeout_s=timeout_s, result_bytes=limits.tool_result_bytes
        )


def _noted(turn: OpenTurn, event: Event) -> Event:
    if isinstance(event, ToolReturned | ToolFailed):
        turn.results[event.call_id] = content_of(event)
    return event
