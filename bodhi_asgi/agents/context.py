"""What a tool may know besides its arguments: the host's own objects, and on whose behalf it runs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, Protocol, TypeVar

from bodhi_asgi.formats.openai_chat.schema import ChatCompletionChunk

D = TypeVar("D")


class Chunks(Protocol):
    """The chunks of one streamed answer, in the shape of OpenAI's."""

    async def __anext__(self) -> ChatCompletionChunk: ...

    async def aclose(self) -> None:
        """Stop the model. Idempotent."""
        ...


class Chat(Protocol):
    """The one verb an agent needs. :class:`bodhi_asgi.facade.Bodhi` has it, bound to whom it acts for."""

    async def chat_completion(self, request: Mapping[str, Any], *, stream: Literal[True]) -> Chunks:
        """Start an answer to a conversation in the OpenAI shapes."""
        ...


@dataclass(frozen=True, slots=True)
class ToolContext(Generic[D]):
    """A parameter of this type receives it; the model is not told of the parameter.

    ``deps`` is what ``run(deps=...)`` was given; ``bodhi`` are the verbs that the run uses, bound to the same caller;
    ``call_id`` is unique in the run, and the same when a call is approved later.
    """

    deps: D
    bodhi: Chat
    call_id: str
