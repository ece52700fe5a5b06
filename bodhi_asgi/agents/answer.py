"""One answer of the model, put together from the chunks of its stream.

Shapes: the chunks of OpenAI's chat completions, with the model's thinking in ``reasoning_content``.
"""

from dataclasses import dataclass, field

from bodhi_asgi.agents.events import Event, ReasoningAdded, TextAdded
from bodhi_asgi.agents.limits import AgentOutcome
from bodhi_asgi.agents.state import Call
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionChunk, ToolCallPiece


@dataclass(slots=True)
class _Opening:
    """A call while its pieces arrive."""

    id: str = ""
    name: str = ""
    arguments: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Answer:
    """What the model has said so far."""

    pieces: list[str] = field(default_factory=list)
    thoughts: list[str] = field(default_factory=list)
    openings: dict[int, _Opening] = field(default_factory=dict)
    finish: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    is_complete: bool = False
    is_out_of_time: bool = False

    def take(self, chunk: ChatCompletionChunk | None) -> list[Event]:
        """Take one chunk, or None at the end of the stream; returns what is news in it."""
        if chunk is None:
            self.is_complete = True
            return []
        if chunk.usage is not None:
            self.prompt_tokens = chunk.usage.prompt_tokens
            self.completion_tokens = chunk.usage.completion_tokens
        news: list[Event] = []
        for choice in chunk.choices:
            delta = choice.delta
            if delta.reasoning_content:
                self.thoughts.append(delta.reasoning_content)
                news.append(ReasoningAdded(delta.reasoning_content))
            if delta.content:
                self.pieces.append(delta.content)
                news.append(TextAdded(delta.content))
            for piece in delta.tool_calls or ():
                self._open(piece)
            self.finish = choice.finish_reason or self.finish
        return news

    def _open(self, piece: ToolCallPiece) -> None:
        opening = self.openings.setdefault(piece.index, _Opening())
        opening.id = piece.id or opening.id
        if piece.function is not None:
            opening.name = piece.function.name or opening.name
            opening.arguments.append(piece.function.arguments or "")

    @property
    def text(self) -> str:
        """All of the text."""
        return "".join(self.pieces)

    @property
    def reasoning(self) -> str:
        """All that the model thought before it spoke."""
        return "".join(self.thoughts)

    @property
    def calls(self) -> tuple[Call, ...]:
        """What the model asks for, in its order."""
        return tuple(Call(one.id, one.name, "".join(one.arguments)) for _, one in sorted(self.openings.items()))

    @property
    def end(self) -> AgentOutcome | None:
        """How the run ends with this answer; None when it goes on with the calls. Half an answer calls nothing."""
        if self.is_out_of_time:
            return AgentOutcome.TIME_LIMIT
        if self.finish == "length":
            return AgentOutcome.LENGTH
        return None if self.openings else AgentOutcome.FINISHED
