"""The inference verbs: stream an answer, or wait for the whole of it.

The caller is asked, the model's name resolved, the engine found and the work handed over; what comes back is counted.
Closing the stream, or cancelling the task that reads it, ends the work in the engine.
"""

from collections import defaultdict
from contextlib import aclosing
from itertools import islice
from typing import Protocol

from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.errors import Broken
from bodhi_asgi.ids import new_id
from bodhi_asgi.inference.answer import AnswerStream
from bodhi_asgi.inference.choices import Choices, best, split
from bodhi_asgi.inference.manners import family_of, reader_maker
from bodhi_asgi.inference.whole import Whole
from bodhi_asgi.messages.answers import Reply
from bodhi_asgi.messages.generation import GenerateRequest
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.models.service import ModelService


class Engines(Protocol):
    """Where a loaded engine for a model comes from."""

    async def engine(self, spec: ModelSpec) -> Engine:
        """The started engine for ``spec``."""
        ...


class InferenceService:
    """Chat with local models."""

    def __init__(
        self, *, models: ModelService, engines: Engines, meters: Meters, clock: Clock, deadline_s: float | None
    ) -> None:
        self._models = models
        self._engines = engines
        self._meters = meters
        self._clock = clock
        self._deadline_s = deadline_s

    async def stream(self, caller: Caller, request: GenerateRequest, *more: GenerateRequest) -> AnswerStream:
        """Start an answer, or all that are wanted, and return the deltas; the last one has ``usage``.

        With several requests, which are for one model, the answers to the first come first.

        Returns once the engine has accepted the request, so that what is wrong with it is raised here and not in the
        middle of the stream. Needs ``inference`` and a grant on the model. Raises the errors of
        :mod:`bodhi_asgi.models.errors` and :mod:`bodhi_asgi.engine.errors`.
        """
        caller.require(Scope.INFERENCE)
        began = self._clock.monotonic()
        model = await self._models.resolve(caller, request.model)
        request, *others = (model.defaults.generation(each) for each in (request, *more))
        engine = await self._engines.engine(model.spec)
        family = family_of(await engine.start(), request)
        singles = [(prompt, single) for prompt, each in enumerate((request, *others)) for single in split(each)]
        streams = [
            engine.submit(
                Work(
                    id=new_id(),
                    request=single,
                    owner=caller.share,
                    deadline_s=self._deadline_s,
                    keep_alive_s=request.keep_alive_s,
                )
            )
            for _, single in singles
        ]
        deltas = streams[0] if len(streams) == 1 else Choices(streams, [prompt for prompt, _ in singles])
        new_reader = reader_maker(family, request)
        answer = AnswerStream(deltas, self._meters, self._clock, request.model, began, new_reader)
        await answer.begin()
        return answer

    async def complete(self, caller: Caller, request: GenerateRequest, *more: GenerateRequest) -> Reply:
        """All of the answer, or of all that are wanted. Permissions and errors as :meth:`stream`."""
        wholes: dict[int, Whole] = defaultdict(Whole)
        async with aclosing(await self.stream(caller, request, *more)) as answer:
            async for delta in answer:
                wholes[delta.index].add(delta)
                if delta.usage is not None:
                    answers = (wholes[index].answer() for index in sorted(wholes))
                    groups = ((each, list(islice(answers, max(each.n, each.best_of)))) for each in (request, *more))
                    return Reply(tuple(one for each, own in groups for one in best(own, each)), delta.usage)
        raise Broken("the engine ended an answer without its final word")
