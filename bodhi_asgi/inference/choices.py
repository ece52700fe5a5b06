"""Several answers read as one: each is a work of its own in the engine, and their deltas come as they are ready.

The engine shares the cells of a prompt between works that have it, so that it is computed once; here it is counted
once.
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from dataclasses import replace

from bodhi_asgi.errors import Broken
from bodhi_asgi.messages.answers import Answer, Delta, Usage
from bodhi_asgi.messages.generation import GenerateRequest, Sampling


def split(request: GenerateRequest) -> list[GenerateRequest]:
    """A request for each answer that ``request`` wants. A seed that was given counts up from answer to answer.

    To find the best of several, they need their log probabilities.
    """
    count = max(request.n, request.best_of)
    logprobs = request.logprobs if count == request.n else request.logprobs or 0
    single = replace(request, n=1, best_of=1, logprobs=logprobs)
    return [replace(single, sampling=_seeded(request.sampling, number)) for number in range(count)]


def best(answers: Sequence[Answer], request: GenerateRequest) -> list[Answer]:
    """The ``n`` of them that are likeliest, likeliest first, by the mean log probability of their tokens."""
    if request.best_of <= request.n:
        return list(answers)
    likeliest = sorted(answers, key=_mean_logprob, reverse=True)[: request.n]
    return likeliest if request.logprobs is not None else [replace(answer, logprobs=()) for answer in likeliest]


def _mean_logprob(answer: Answer) -> float:
    values = [one.logprob for one in answer.logprobs if one.logprob is not None]
    return sum(values) / len(values) if values else 0.0


def _seeded(sampling: Sampling, number: int) -> Sampling:
    return sampling if sampling.seed is None else replace(sampling, seed=sampling.seed + number)


class Choices(AsyncIterator[Delta]):
    """The deltas of several answers, each with its ``index``. The last one of all has the usage of all.

    The first delta comes when every answer has begun. One answer that fails is an error of the whole. ``prompts`` says
    for each answer which prompt it is to; each prompt counts once.
    """

    def __init__(self, streams: Sequence[AsyncIterator[Delta]], prompts: Sequence[int]) -> None:
        self._streams = list(streams)
        self._prompts = list(prompts)
        self._reading: dict[asyncio.Task[Delta], int] = {}
        self._ready: deque[Delta] = deque()
        self._usage: dict[int, Usage] = {}
        self._has_begun = False

    async def __anext__(self) -> Delta:
        while not self._ready:
            if len(self._usage) == len(self._streams):
                raise StopAsyncIteration
            await self._read()
        return self._ready.popleft()

    async def aclose(self) -> None:
        """End every answer's work. Idempotent."""
        reading, self._reading = self._reading, {}
        for task in reading:
            task.cancel()
        if reading:
            await asyncio.wait(reading)
            for task in reading:
                if not task.cancelled():
                    task.exception()
        for stream in self._streams:
            if isinstance(stream, AsyncGenerator):
                await stream.aclose()

    async def _read(self) -> None:
        busy = set(self._reading.values())
        for index, stream in enumerate(self._streams):
            if index not in busy and index not in self._usage:
                self._reading[asyncio.ensure_future(_next(stream))] = index
        wanted = asyncio.FIRST_COMPLETED if self._has_begun else asyncio.FIRST_EXCEPTION
        done, _ = await asyncio.wait(self._reading, return_when=wanted)
        self._has_begun = True
        for task in sorted(done, key=self._reading.__getitem__):
            self._take(self._reading.pop(task), task.result())

    def _take(self, index: int, delta: Delta) -> None:
        if delta.usage is None:
            self._ready.append(replace(delta, index=index))
            return
        self._usage[index] = delta.usage
        total = self._total() if len(self._usage) == len(self._streams) else None
        self._ready.append(replace(delta, index=index, usage=total))

    def _total(self) -> Usage:
        total, counted = Usage(), set()
        for index, prompt in enumerate(self._prompts):
            usage = self._usage[index]
            total += replace(usage, prompt_tokens=0, cached_tokens=0) if prompt in counted else usage
            counted.add(prompt)
        return total


async def _next(stream: AsyncIterator[Delta]) -> Delta:
    try:
        return await anext(stream)
    except StopAsyncIteration:
        raise Broken("the engine ended an answer without its final word") from None
