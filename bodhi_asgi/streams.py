"""Streamed answers of the direct door: the chunks that HTTP sends, as typed objects."""

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Generic, Self, TypeVar

from pydantic import BaseModel

from bodhi_asgi.errors import NotStarted
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionChunk
from bodhi_asgi.formats.openai_completions.schema import Completion
from bodhi_asgi.inference.answer import AnswerStream
from bodhi_asgi.lifecycle import Lifecycle
from bodhi_asgi.messages.answers import Delta
from bodhi_asgi.services import Services
from bodhi_asgi.types import JSONObject

C = TypeVar("C", bound=BaseModel)


class ChunkStream(AsyncIterator[C], Generic[C]):
    """The chunks of one answer. Iterate to the end, or close it to stop the model.

    Raises ShuttingDown in the middle when the server is told to stop, as a stream over HTTP gets its last word then.
    """

    shape: type[C]

    def __init__(
        self, lifecycle: Lifecycle[Services], answer: AnswerStream, encode: Callable[[Delta], list[JSONObject]]
    ) -> None:
        self._lifecycle = lifecycle
        self._answer = answer
        self._encode = encode
        self._ready: list[C] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> C:
        while not self._ready:
            delta = await self._lifecycle.next_of(lambda: anext(self._answer))
            self._ready = [self.shape.model_validate(chunk) for chunk in self._encode(delta)]
        return self._ready.pop(0)

    async def aclose(self) -> None:
        """Stop the model and free its slot. Idempotent."""
        self._ready.clear()
        with suppress(NotStarted):  # a server that is closed has ended its answers
            await self._lifecycle.run(lambda _: self._answer.aclose(), start=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.aclose()


class ChatCompletionStream(ChunkStream[ChatCompletionChunk]):
    """A chat completion, chunk by chunk. Iterate to the end, or close it to stop the model."""

    shape = ChatCompletionChunk


class CompletionStream(ChunkStream[Completion]):
    """A completion, chunk by chunk. Iterate to the end, or close it to stop the model."""

    shape = Completion
