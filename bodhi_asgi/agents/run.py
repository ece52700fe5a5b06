"""The loop: the model speaks, its calls are made, it reads the results, until it asks for no more or may not go on.

A run is an async iterator over its events, or awaited for its result. Nothing happens before the first step is asked
for, and closing it stops the model and the tools that are running.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, Self

from bodhi_asgi.agents.answer import Answer
from bodhi_asgi.agents.context import Chat
from bodhi_asgi.agents.errors import RunUnfinished
from bodhi_asgi.agents.events import AgentResult, Event, RunFinished
from bodhi_asgi.agents.limits import AgentOutcome, Spent
from bodhi_asgi.agents.recipe import Recipe
from bodhi_asgi.agents.state import AgentState
from bodhi_asgi.agents.stream import Keep, event_stream
from bodhi_asgi.agents.timer import Timer
from bodhi_asgi.agents.work import OpenTurn, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.types import JSONObject


class AgentRun(AsyncIterator[Event]):
    """One run. ``async for event in run`` for its steps, ``await run`` for its :class:`AgentResult`.

    Raises what the verb raises (ModelForbidden, EngineBusy, ContextLengthExceeded, ...), after which :attr:`messages`
    has the turns that were complete. Read it inside ``async with run:`` when it may be left early.
    """

    def __init__(
        self,
        recipe: Recipe,
        chat: Chat,
        deps: Any,
        *,
        messages: Sequence[JSONObject],
        spent: Spent | None = None,
        turn: OpenTurn | None = None,
    ) -> None:
        self._recipe = recipe
        self._chat = chat
        self._deps = deps
        self._messages = list(messages)
        self._spent = spent or Spent()
        self._result: AgentResult | None = None
        self._events = self._run(turn)

    @property
    def messages(self) -> Sequence[JSONObject]:
        """The complete turns so far, in the OpenAI shapes, without the agent's instructions."""
        return tuple(self._messages)

    @property
    def result(self) -> AgentResult:
        """How the run ended. Raises RunUnfinished before that."""
        if self._result is None:
            raise RunUnfinished("this run has not come to its end: read its events to the last, or await it")
        return self._result

    async def event_stream(self, *, keep: Keep | None = None, ping_s: float = 15.0) -> AsyncGenerator[str]:
        """The run as server-sent events, to be the body of a streaming response; a reader who leaves closes the run.

        Each frame is an event's JSON. ``keep`` is awaited with the state of a run that pauses, before its reader learns
        of it. An error is a last frame ``{"kind": "error", "code", "message", "param"}``.
        """
        async with self, aclosing(event_stream(self._events, keep, ping_s)) as frames:
            async for frame in frames:
                yield frame

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        return await anext(self._events)

    def __await__(self) -> Generator[Any, None, AgentResult]:
        return self._whole().__await__()

    async def aclose(self) -> None:
        """Stop the model and the tools that are running. Idempotent."""
        await self._events.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()

    async def _whole(self) -> AgentResult:
        async with self:
            async for _ in self:
                pass
        return self.result

    async def _run(self, turn: OpenTurn | None) -> AsyncGenerator[Event]:
        limits = self._recipe.limits
        timer = Timer(self._recipe.clock, limit_s=limits.time_s, spent_s=self._spent.time_s)
        work = Work(self._recipe, self._chat, self._deps, timer)
        while True:
            if turn is not None:
                async with aclosing(work.make(turn)) as events:
                    async for event in events:
                        yield event
                if turn.waits:
                    yield self._finished(AgentOutcome.APPROVAL_NEEDED, turn.text, timer, turn)
                    return
                self._messages += turn.messages()
            self._spent = replace(self._spent, time_s=timer.spent_s)
            limit = AgentOutcome.TOOL_CALL_LIMIT if turn is not None and turn.is_cut else self._spent.exceeded(limits)
            if limit is not None:
                yield self._finished(limit, turn.text if turn is not None else "", timer)
                return
            answer = Answer()
            async with aclosing(self._speak(answer, timer)) as events:
                async for event in events:
                    yield event
            if answer.end is not None:
                if answer.text:
                    self._messages.append({"role": "assistant", "content": answer.text})
                yield self._finished(answer.end, answer.text, timer)
                return
            turn = self._opened(answer)

    async def _speak(self, answer: Answer, timer: Timer) -> AsyncGenerator[Event]:
        """One turn of the model, taken into ``answer``."""
        request = self._recipe.request(self._messages, self._spent)
        try:
            async with asyncio.timeout(timer.left_s) as limit:
                chunks = await self._chat.chat_completion(request, stream=True)
            try:
                while not answer.is_complete:
                    async with asyncio.timeout(timer.left_s) as limit:
                        news = answer.take(await anext(chunks, None))
                    for event in news:
                        yield event
            finally:
                await chunks.aclose()
        except TimeoutError:
            if not limit.expired():
                raise
            answer.is_out_of_time = True
        self._spent = self._spent.more(
            turns=1, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens
        )

    def _opened(self, answer: Answer) -> OpenTurn:
        """The turn of an answer that calls, its calls counted: those beyond the limit are not made."""
        allowed = min(len(answer.calls), self._recipe.limits.tool_calls - self._spent.tool_calls)
        self._spent = self._spent.more(tool_calls=allowed)
        return OpenTurn(answer.text, answer.reasoning, answer.calls, allowed)

    def _finished(self, outcome: AgentOutcome, text: str, timer: Timer, turn: OpenTurn | None = None) -> RunFinished:
        self._spent = replace(self._spent, time_s=timer.spent_s)
        state = None
        if turn is not None:
            results = dict(turn.results)
            state = AgentState(new_id(), self.messages, turn.text, turn.reasoning, turn.calls, results, self._spent)
        self._result = AgentResult(outcome, text, self.messages, self._spent, state)
        return RunFinished(self._result)
