"""Texts in batches, one contract for every engine: in a thread or in a process, the echo or an encoder in llama.cpp."""

import asyncio
import itertools
import shutil
import struct
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.engine.errors import (
    CapabilityMissing,
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineBusy,
    EngineStopped,
    PromptInvalid,
)
from bodhi_asgi.engine.types import Engine, ModelSpec, PooledWork, TextWork
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.answers import Delta, FinishReason, TokenIds, Vectors
from bodhi_asgi.messages.conversation import TextPrompt, TokenPrompt
from bodhi_asgi.messages.reading import DetokenizeRequest, EmbedRequest, RerankRequest, TokenizeRequest
from tests.engine.reading_models import PARAPHRASES, SENTENCES, meaning_model, overlap_model, write
from tests.engine.support import becomes_idle, text_of, work
from tests.engine.test_contract import Bench

KINDS = [f"{place}-{runner}" for place in ("thread", "process") for runner in ("echo", "llama")]
numbers = itertools.count()


def embed(*texts: str, owner: str = "", deadline_s: float | None = None, **options: Any) -> PooledWork:
    request = EmbedRequest("m", tuple(TextPrompt(text) for text in texts), **options)
    return PooledWork(f"p{next(numbers)}", request, owner, deadline_s)


def rank(query: str, *documents: str) -> PooledWork:
    return PooledWork(f"p{next(numbers)}", RerankRequest("m", query, documents))


async def deltas_of(engine: Engine, asked: PooledWork | TextWork) -> list[Delta]:
    async with aclosing(engine.submit(asked)) as stream:  # type: ignore[type-var]
        return [delta async for delta in stream]


async def rows_of(engine: Engine, asked: PooledWork) -> list[tuple[float, ...]]:
    rows = []
    for delta in await deltas_of(engine, asked):
        if isinstance(delta.part, Vectors):
            rows += list(struct.iter_unpack(f"<{delta.part.width}f", delta.part.data))
    return rows


def likeness(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


class ReadingBench(Bench):
    """Makes engines of one kind for models that read, and clears them away."""

    def engine(self, *, ranks: bool = False, **changes: Any) -> Any:
        path = self.folder / f"{'ranks' if ranks else 'embeds'}.gguf"
        if self.runner == "llama" and not path.exists():
            write(overlap_model() if ranks else meaning_model(), path)
        spec = ModelSpec("reader", str(path), runner=self.runner, n_ctx=128, slots=2, threads=1)  # type: ignore[arg-type]
        return self.make(replace(spec, **changes))


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[ReadingBench]:
    folder = Path(tempfile.mkdtemp(prefix="be-", dir="/tmp"))
    made = ReadingBench(request.param, folder)
    yield made
    await made.clear()
    shutil.rmtree(folder)


@pytest.fixture
async def engine(bench: ReadingBench) -> Engine:
    engine: Engine = bench.engine()
    await engine.start()
    return engine


async def test_every_text_gets_its_row_in_order_however_many_there_are(bench: ReadingBench, engine: Engine) -> None:
    alone = [(await rows_of(engine, embed(text)))[0] for text in SENTENCES]
    together = await rows_of(engine, embed(*SENTENCES * 40))

    assert len(together) == 200
    for index, row in enumerate(together):
        assert likeness(row, alone[index % len(SENTENCES)]) == pytest.approx(1, abs=1e-5)
    if bench.runner == "llama":
        others = await rows_of(engine, embed(*PARAPHRASES))
        nearest = [max(range(5), key=lambda index: likeness(row, alone[index])) for row in others]
        assert nearest == list(range(5))
    await becomes_idle(engine)


async def test_the_last_word_has_the_tokens_that_were_read(engine: Engine) -> None:
    deltas = await deltas_of(engine, embed(*SENTENCES))

    assert (deltas[0].part, deltas[0].finish) == (None, None)
    assert [delta.finish for delta in deltas if delta.finish] == [FinishReason.STOP]
    assert deltas[-1].usage is not None
    counts = [
        (await deltas_of(engine, TextWork("t", TokenizeRequest("m", TextPrompt(text), "count"))))[-1].usage
        for text in SENTENCES
    ]
    assert deltas[-1].usage.prompt_tokens == sum(count.prompt_tokens for count in counts if count)
    assert deltas[-1].usage.completion_tokens == 0


async def test_many_requests_at_once_get_what_each_gets_alone(engine: Engine) -> None:
    alone = [(await rows_of(engine, embed(text)))[0] for text in SENTENCES]
    rows = await asyncio.gather(*(rows_of(engine, embed(text)) for text in SENTENCES * 2))

    for index, (row,) in enumerate(rows):
        assert likeness(row, alone[index % len(SENTENCES)]) == pytest.approx(1, abs=1e-5)


async def test_fewer_dimensions_are_the_first_ones_of_length_one(engine: Engine) -> None:
    (whole,) = await rows_of(engine, embed(SENTENCES[0]))
    (cut,) = await rows_of(engine, embed(SENTENCES[0], dimensions=20))

    length = sum(value * value for value in whole[:20]) ** 0.5
    assert cut == pytest.approx([value / length for value in whole[:20]], abs=1e-5)
    with pytest.raises(Invalid, match="64") as refused:
        await rows_of(engine, embed("x", dimensions=65))
    assert refused.value.param == "dimensions"


async def test_pairs_are_scored_by_the_words_they_share(bench: ReadingBench) -> None:
    engine = bench.engine(ranks=True)
    await engine.start()
    documents = ("kitten whiskers", "the cat purrs on my paws", "cat in the rain")
    scores = [row[0] for row in await rows_of(engine, rank("the cat purrs", *documents))]

    assert sorted(range(3), key=lambda index: -scores[index]) == [1, 2, 0]
    assert all(0 <= score <= 1 for score in scores)
    await becomes_idle(engine)


async def test_a_model_is_not_asked_for_what_it_is_not_made_for(bench: ReadingBench) -> None:
    if bench.runner == "echo":
        pytest.skip("the echo can do everything")
    encoder, ranker = bench.engine(), bench.engine(ranks=True, name="ranker")
    for engine in (encoder, ranker):
        facts = await engine.start()
        assert not facts.generates
        with pytest.raises(CapabilityMissing, match="chat model") as refused:
            await text_of(engine, work("hello"))
        assert refused.value.param == "model"
    with pytest.raises(CapabilityMissing, match="reranker"):
        await rows_of(encoder, rank("x", "y"))
    with pytest.raises(CapabilityMissing, match="embedding model"):
        await rows_of(ranker, embed("x"))
    assert await rows_of(encoder, embed("still alive"))


@pytest.mark.parametrize(
    ("text", "says"),
    [("cat " * 200, "128"), ("a" * 30_000, "128"), ("word " * 4000, "128")],
    ids=["too many tokens", "unbroken letters", "too many bytes"],
)
async def test_a_text_that_does_not_fit_is_refused_by_its_place(engine: Engine, text: str, says: str) -> None:
    with pytest.raises(ContextLengthExceeded, match=says) as refused:
        await rows_of(engine, embed("short", "shorter", text))
    assert refused.value.param == "input.2"
    await becomes_idle(engine)
    assert await rows_of(engine, embed("still alive"))


async def test_tokens_that_do_not_exist_are_refused_before_they_are_computed(engine: Engine) -> None:
    for tokens in ((1, 10**9), (-1,), (2**31 - 1,)):
        request = EmbedRequest("m", (TokenPrompt(tokens),))
        with pytest.raises(PromptInvalid, match="no token"):
            await rows_of(engine, PooledWork("p", request))
    with pytest.raises(PromptInvalid, match="no token"):
        await deltas_of(engine, TextWork("t", DetokenizeRequest("m", (10**9,))))
    assert await rows_of(engine, embed("still alive"))


async def test_tokens_and_text_are_two_forms_of_one_thing(engine: Engine) -> None:
    asked = TokenizeRequest("m", TextPrompt("the cat purrs"), "tokens")
    parts = [delta.part for delta in await deltas_of(engine, TextWork("t", asked))]
    ids = tuple(token for part in parts if isinstance(part, TokenIds) for token in part.ids)

    by_tokens = await rows_of(engine, PooledWork("p", EmbedRequest("m", (TokenPrompt(ids),))))
    assert by_tokens == await rows_of(engine, embed("the cat purrs"))
    text = "".join(delta.text for delta in await deltas_of(engine, TextWork("t", DetokenizeRequest("m", ids))))
    assert "the cat purrs" in text


async def test_closing_or_cancelling_leaves_nothing(engine: Engine) -> None:
    many = embed(*("the cat purrs " * 8,) * 600)
    async with aclosing(engine.submit(many)) as stream:  # type: ignore[type-var]
        await anext(stream)
    await becomes_idle(engine)

    task = asyncio.create_task(rows_of(engine, embed(*("the cat purrs " * 8,) * 600)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await becomes_idle(engine)
    assert await rows_of(engine, embed("still alive"))


async def test_a_deadline_ends_what_takes_too_long(engine: Engine) -> None:
    with pytest.raises(DeadlineExceeded):
        await rows_of(engine, embed(*("cat",) * 500, deadline_s=0.0))
    assert await rows_of(engine, embed("cat", deadline_s=60))


async def test_a_reader_that_stands_still_holds_up_nobody_else(engine: Engine) -> None:
    async with aclosing(engine.submit(embed(*("cat",) * 6000))) as stalled:  # type: ignore[type-var]
        await anext(stalled)
        async with asyncio.timeout(30):
            for _ in range(3):
                assert len(await rows_of(engine, embed(*SENTENCES, owner="other"))) == 5
        rest = [delta async for delta in stalled]
    assert sum(len(delta.part.data) for delta in rest if isinstance(delta.part, Vectors)) == 6000 * 64 * 4


async def test_too_many_requests_of_one_caller_are_told_to_come_back(bench: ReadingBench) -> None:
    engine = bench.engine(queue_limit_per_owner=2)
    await engine.start()
    asked = [embed(*("the cat purrs " * 8,) * 100, owner="ann") for _ in range(12)]
    outcomes = await asyncio.gather(*(rows_of(engine, one) for one in asked), return_exceptions=True)

    busy = [outcome for outcome in outcomes if isinstance(outcome, EngineBusy)]
    assert busy
    assert busy[0].retry_after_s
    assert all(isinstance(outcome, EngineBusy) or len(outcome) == 100 for outcome in outcomes)  # type: ignore[arg-type]
    await becomes_idle(engine)


async def test_closing_the_engine_ends_its_work(bench: ReadingBench) -> None:
    engine = bench.engine()
    await engine.start()
    stream = engine.submit(embed(*("the cat purrs",) * 3000))
    await anext(stream)
    await engine.aclose()
    with pytest.raises(EngineStopped):
        async for _ in stream:
            pass
    with pytest.raises(EngineStopped):
        await rows_of(engine, embed("x"))
