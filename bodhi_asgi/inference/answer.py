"""An answer on its way out, or several as one: the engine's deltas, counted, and closed exactly once however it ends.

A class and not a generator, because closing a generator that was never iterated runs none of its clean-up.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from typing import Final, Self

from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.inference.choices import Choices
from bodhi_asgi.inference.speech import SpeechReader
from bodhi_asgi.messages.answers import Delta
from bodhi_asgi.metrics.meters import Meters

LONG_CHARS: Final = 16 * 1024
"""Of a call that a model has not ended: with its end, all of that may have to be translated."""


class AnswerStream(AsyncIterator[Delta]):
    """Iterate it for the deltas; close it to end the work. It closes itself after the last delta and on an error."""

    def __init__(
        self,
        deltas: AsyncIterator[Delta],
        meters: Meters,
        clock: Clock,
        model: str,
        began_s: float,
        new_reader: Callable[[], SpeechReader],
    ) -> None:
        self._deltas = deltas
        self._new_reader = new_reader
        self._readers: dict[int, SpeechReader] = {}
        self._meters = meters
        self._clock = clock
        self._model = model
        self._began_s = began_s
        self._first: Delta | None = None
        self._has_text = False
        self._outcome = "cancelled"
        self._closed = False

    async def begin(self) -> None:
        """Wait for the first delta, which says that the engine has taken the request."""
        self._first = await self._next()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delta:
        if self._first is not None:
            delta, self._first = self._first, None
        elif self._closed:
            raise StopAsyncIteration
        else:
            delta = await self._next()
        self._count(delta)
        if delta.usage is not None:
            await self.aclose()
        if delta.index not in self._readers:
            self._readers[delta.index] = self._new_reader()
        reader = self._readers[delta.index]
        if reader.held > LONG_CHARS:
            return await asyncio.to_thread(reader.read, delta)
        return reader.read(delta)

    async def aclose(self) -> None:
        """End the work in the engine if it is still going. Idempotent."""
        if self._closed:
            return
        self._closed = True
        self._first = None
        self._meters.generations.inc(1, model=self._model, outcome=self._outcome)
        if isinstance(self._deltas, AsyncGenerator | Choices):
            await self._deltas.aclose()

    async def _next(self) -> Delta:
        try:
            return await anext(self._deltas)
        except BaseException as error:
            if isinstance(error, BodhiError):
                self._outcome = error.code
            await self.aclose()
            raise

    def _count(self, delta: Delta) -> None:
        if delta.text and not self._has_text:
            self._has_text = True
            self._meters.first_token_s.observe(self._clock.monotonic() - self._began_s, model=self._model)
        if delta.usage is not None:
            self._outcome = "completed"
            self._meters.prompt_tokens.inc(delta.usage.prompt_tokens, model=self._model)
            self._meters.cached_tokens.inc(delta.usage.cached_tokens, model=self._model)
            if delta.usage.drafted_tokens:
                self._meters.drafted_tokens.inc(delta.usage.drafted_tokens, model=self._model)
                self._meters.accepted_tokens.inc(delta.usage.accepted_tokens, model=self._model)
            self._meters.completion_tokens.inc(delta.usage.completion_tokens, model=self._model)
