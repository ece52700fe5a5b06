"""One whole answer out of its deltas, put together as they come: at the end there is little left to do."""

from bodhi_asgi.errors import Broken
from bodhi_asgi.messages.answers import Answer, Delta, FinishReason, Logprobs, TokenLogprob
from bodhi_asgi.messages.conversation import ToolCall


class Whole:
    """What all deltas of one answer say together."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._thoughts: list[str] = []
        self._names: list[tuple[str, str]] = []
        self._arguments: list[list[str]] = []
        self._scores: list[TokenLogprob] = []
        self._finish: FinishReason | None = None

    def add(self, delta: Delta) -> None:
        """The next delta of the answer."""
        self._texts.append(delta.text)
        self._thoughts.append(delta.reasoning)
        self._finish = delta.finish or self._finish
        if isinstance(delta.part, Logprobs):
            self._scores += delta.part.tokens
        for piece in delta.tool_calls:
            if piece.id is not None and piece.name is not None:
                self._names.append((piece.id, piece.name))
                self._arguments.append([])
            self._arguments[piece.index].append(piece.arguments)

    def answer(self) -> Answer:
        """The answer. Raises Broken when the last word is missing."""
        if self._finish is None:
            raise Broken("the engine ended an answer without its final word")
        calls = tuple(
            ToolCall(*name, "".join(pieces)) for name, pieces in zip(self._names, self._arguments, strict=True)
        )
        return Answer("".join(self._texts), self._finish, "".join(self._thoughts), calls, tuple(self._scores))
