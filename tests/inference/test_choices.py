"""Several answers to one prompt: read as one, counted as one, ended as one."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import EngineBusy
from bodhi_asgi.engine.types import Work
from bodhi_asgi.inference.choices import Choices, split
from bodhi_asgi.messages.answers import Delta, Usage
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from tests.engine.support import ECHO, LLAMA, becomes_idle, deltas_of, text_of, work

LIVELY = Sampling(temperature=2, top_p=1, min_p=0, seed=11)


@pytest.fixture(params=["thread", "process"])
async def engine(request: pytest.FixtureRequest, short_folder: Path, exact_model: Path) -> AsyncIterator[Any]:
    spec = replace(LLAMA, path=str(exact_model), slots=4)
    engine: Any = (
        ThreadEngine(spec)
        if request.param == "thread"
        else ProcessEngine(spec, runtime_dir=short_folder / "r", linger_s=0.0)
    )
    await engine.start()
    yield engine
    await engine.aclose(**({} if request.param == "thread" else {"terminate": True}))


def choices(engine: Any, asked: Work) -> Choices:
    works = [work_like(asked, request) for request in split(asked.request)]
    return Choices([engine.submit(each) for each in works], [0] * len(works))


def work_like(asked: Work, request: GenerateRequest) -> Work:
    return replace(work("", owner=asked.owner), request=request)


async def read(deltas: Choices) -> tuple[dict[int, str], list[Delta]]:
    texts: dict[int, str] = defaultdict(str)
    read: list[Delta] = []
    async with aclosing(deltas):
        async for delta in deltas:
            texts[delta.index] += delta.text
            read.append(delta)
    return dict(texts), read


async def test_each_answer_says_what_it_would_say_alone_with_its_own_seed(engine: Any) -> None:
    asked = work("Tell me about the river", sampling=LIVELY, max_tokens=12)
    texts, deltas = await read(choices(engine, replace(asked, request=replace(asked.request, n=4))))
    alone = {
        index: await text_of(
            engine, work_like(asked, replace(asked.request, sampling=replace(LIVELY, seed=11 + index)))
        )
        for index in range(4)
    }
    assert texts == alone
    assert len(set(texts.values())) > 1
    assert [delta.index for delta in deltas[:4]] == [0, 1, 2, 3], "the first words come when all have begun"


async def test_the_prompt_is_counted_once_and_every_answer_in_full(engine: Any) -> None:
    asked = work("Tell me about the river", sampling=LIVELY, max_tokens=5)
    alone = (await deltas_of(engine, asked))[-1].usage
    assert alone is not None
    _, deltas = await read(choices(engine, replace(asked, request=replace(asked.request, n=3))))
    assert [delta.usage for delta in deltas if delta.usage] == [deltas[-1].usage]
    assert deltas[-1].usage == Usage(alone.prompt_tokens, 3 * alone.completion_tokens)
    assert sum(delta.finish is not None for delta in deltas) == 3


async def test_closing_ends_every_answer(engine: Any) -> None:
    asked = work("Count to fifty", max_tokens=200)
    async with aclosing(choices(engine, replace(asked, request=replace(asked.request, n=4)))) as deltas:
        for _ in range(6):
            await anext(deltas)
    await becomes_idle(engine)


async def test_cancelling_the_reader_ends_every_answer(engine: Any) -> None:
    asked = work("Count to fifty", max_tokens=200)
    reading = asyncio.create_task(read(choices(engine, replace(asked, request=replace(asked.request, n=4)))))
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await becomes_idle(engine)


async def test_one_answer_that_finds_no_place_is_an_error_of_all() -> None:
    engine = ThreadEngine(replace(ECHO, slots=1, queue_limit_per_owner=1))
    await engine.start()
    asked = work("one two three", owner="ann")
    deltas = choices(engine, replace(asked, request=replace(asked.request, n=6)))
    with pytest.raises(EngineBusy):
        await read(deltas)
    await becomes_idle(engine)
    assert await text_of(engine, asked) == "one two three"
    await engine.aclose()


def test_a_request_without_a_seed_stays_without_one() -> None:
    request = replace(work("x").request, n=2)
    assert split(request) == [replace(request, n=1)] * 2
    seeded = replace(request, sampling=Sampling(seed=-1))
    assert [each.sampling.seed for each in split(seeded)] == [-1, 0]
