"""One whole answer out of its deltas."""

from collections.abc import Iterable

from bodhi_asgi.errors import Broken
from bodhi_asgi.messages.answers import Answer, Delta, Logprobs, TokenLogprob
from bodhi_asgi.messages.conversation import ToolCall


def joined(deltas: Iterable[Delta]) -> Answer:
    """What all deltas of one answer say together. Raises Broken when the last word is missing."""
    texts: list[str] = []
    thoughts: list[str] = []
    names: list[tuple[str, str]] = []
    arguments: list[list[str]] = []
    scores: list[TokenLogprob] = []
    finish = None
    for delta in deltas:
        texts.append(delta.text)
        thoughts.append(delta.reasoning)
        finish = delta.finish or finish
        if isinstance(delta.part, Logprobs):
            scores += delta.part.tokens
        for piece in delta.tool_calls:
            if piece.id is not None and piece.name is not None:
                names.append((piece.id, piece.name))
                arguments.append([])
            arguments[piece.index].append(piece.arguments)
    if finish is None:
        raise Broken("the engine ended an answer without its final word")
    calls = tuple(ToolCall(*name, "".join(pieces)) for name, pieces in zip(names, arguments, strict=True))
    return Answer("".join(texts), finish, "".join(thoughts), calls, tuple(scores))
