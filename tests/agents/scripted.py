"""A stand-in for the one verb an agent speaks with: it says what the test wrote down, in chunks of the OpenAI shape.

It stands in for a model that would have to be talked into saying these things; the real verb and a real model are in
``tests/behaviour/test_agents.py``.
"""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any


def call(name: str, arguments: Any = None, call_id: str = "") -> dict[str, Any]:
    """A tool call; arguments that are text go as they are."""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments or {})
    return {"name": name, "arguments": text, "id": call_id or f"call_{name}"}


@dataclass
class Says:
    """One answer: thoughts, text and calls, in pieces."""

    text: str = ""
    calls: tuple[dict[str, Any], ...] = ()
    reasoning: str = ""
    finish: str = ""
    tokens: tuple[int, int] = (10, 5)
    hangs: bool = False
    raises: BaseException | None = None


@dataclass
class ScriptedChat:
    """Says one answer after the other, and the last one again and again."""

    answers: list[Says]
    requests: list[dict[str, Any]] = field(default_factory=list)
    open_streams: int = 0
    on_chunk: Callable[[], None] = lambda: None

    async def chat_completion(self, request: Any, *, stream: bool) -> Any:
        assert stream
        self.requests.append(json.loads(json.dumps(request)))
        says = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if says.raises is not None:
            raise says.raises
        self.open_streams += 1
        return _Stream(self, says)


class _Stream:
    def __init__(self, chat: ScriptedChat, says: Says) -> None:
        self._chat = chat
        self._says = says
        self._chunks = iter(list(_chunks(says)))
        self._is_open = True

    def __aiter__(self) -> "_Stream":
        return self

    async def __anext__(self) -> Any:
        self._chat.on_chunk()
        for chunk in self._chunks:
            return chunk
        if self._says.hangs:
            await asyncio.Event().wait()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        self._chat.open_streams -= self._is_open
        self._is_open = False


def _chunks(says: Says) -> Any:
    yield _chunk()
    for word in says.reasoning.split(" ") if says.reasoning else ():
        yield _chunk(reasoning_content=word)
    for letter in says.text:
        yield _chunk(content=letter)
    for index, one in enumerate(says.calls):
        head = SimpleNamespace(name=one["name"], arguments="")
        yield _chunk(tool_calls=[SimpleNamespace(index=index, id=one["id"], function=head)])
        for letter in one["arguments"]:
            piece = SimpleNamespace(name=None, arguments=letter)
            yield _chunk(tool_calls=[SimpleNamespace(index=index, id=None, function=piece)])
    if says.hangs:
        return
    yield _chunk(finish=says.finish or ("tool_calls" if says.calls else "stop"))
    usage = SimpleNamespace(prompt_tokens=says.tokens[0], completion_tokens=says.tokens[1])
    yield SimpleNamespace(choices=[], usage=usage)


def _chunk(finish: str | None = None, **delta: Any) -> Any:
    whole = {"content": None, "reasoning_content": None, "tool_calls": None, **delta}
    return SimpleNamespace(choices=[SimpleNamespace(delta=SimpleNamespace(**whole), finish_reason=finish)], usage=None)
