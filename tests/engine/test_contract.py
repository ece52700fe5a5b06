"""One contract for every engine: in a thread or in a process, with the echo or with llama.cpp."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineBusy,
    EngineStopped,
)
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.errors import Invalid
from bodhi_asgi.messages.answers import FinishReason
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role, ToolCall, ToolSpec, ToolUse
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from tests.engine.support import ECHO, LLAMA, becomes_idle, deltas_of, is_at_work, text_of, work

SPECS = {"echo": ECHO, "llama": LLAMA}
KINDS = [f"{place}-{runner}" for place in ("thread", "process") for runner in SPECS]
ASK = "What is bodhi_asgi?"
LONG = "Count to fifty"


class Bench:
    """Makes engines of one kind and clears them away."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.place, _, self.runner = kind.partition("-")
        self.folder = folder
        self._made: list[Any] = []

    def engine(self, **changes: Any) -> Any:
        return self.make(replace(SPECS[self.runner], **changes))

    def make(self, spec: ModelSpec) -> Any:
        if self.place == "thread":
            made: Any = ThreadEngine(spec)
        else:
            made = ProcessEngine(spec, runtime_dir=self.folder / "r", linger_s=0.0)
        self._made.append(made)
        return made

    async def clear(self) -> None:
        for engine in self._made:
            await (engine.aclose() if self.place == "thread" else engine.aclose(terminate=True))


@pytest.fixture(params=KINDS)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    folder = Path(tempfile.mkdtemp(prefix="be-", dir="/tmp"))
    made = Bench(request.param, folder)
    yield made
    await made.clear()
    shutil.rmtree(folder)


@pytest.fixture
async def engine(bench: Bench) -> Engine:
    engine: Engine = bench.engine()
    await engine.start()
    return engine


async def test_starting_is_idempotent_and_tells_the_facts(bench: Bench) -> None:
    engine = bench.engine()
    facts = await engine.start()
    assert facts == await engine.start()
    assert facts.n_ctx == 512


async def test_an_answer_is_announced_spoken_and_ended_once(engine: Engine) -> None:
    deltas = await deltas_of(engine, work(ASK))
    assert (deltas[0].text, deltas[0].finish) == ("", None)
    assert [delta.finish for delta in deltas if delta.finish] == [FinishReason.STOP]
    assert deltas[-1].finish is not None
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens > 0
    assert "".join(delta.text for delta in deltas)
    await becomes_idle(engine)


async def test_max_tokens_ends_with_length(engine: Engine) -> None:
    deltas = await deltas_of(engine, work(ASK, max_tokens=3))
    assert deltas[-1].finish is FinishReason.LENGTH
    assert deltas[-1].usage is not None
    assert deltas[-1].usage.completion_tokens == 3


async def test_a_stop_string_is_never_shown_in_part_or_whole(engine: Engine) -> None:
    whole = await text_of(engine, work("one two three four five"))
    stop = whole[len(whole) // 2 : len(whole) // 2 + 4]
    deltas = await deltas_of(engine, work("one two three four five", stop=(stop,)))
    assert "".join(delta.text for delta in deltas) == whole.partition(stop)[0]
    assert deltas[-1].finish is FinishReason.STOP


@pytest.mark.parametrize(
    "asked",
    [work("a b " * 400), work("a" * 30_000), work("hello", max_tokens=513), work("long " * 4000)],
    ids=["too many tokens", "unbroken letters", "max_tokens over the context", "too many bytes"],
)
async def test_what_does_not_fit_is_refused_and_the_engine_goes_on(engine: Engine, asked: Any) -> None:
    with pytest.raises(ContextLengthExceeded, match="512"):
        await text_of(engine, asked)
    assert await text_of(engine, work(ASK))


async def test_a_bias_for_a_token_that_does_not_exist_is_refused_by_name(bench: Bench) -> None:
    engine = bench.engine()
    await engine.start()
    asked = work(ASK, sampling=Sampling(temperature=0, logit_bias=((999_999, 1.0),)))
    if bench.runner == "echo":
        assert await text_of(engine, asked)
    else:
        with pytest.raises(Invalid, match="999999") as refused:
            await text_of(engine, asked)
        assert refused.value.param == "logit_bias"
    assert await text_of(engine, work(ASK))


async def test_closing_or_cancelling_frees_the_slot(engine: Engine) -> None:
    async with aclosing(engine.submit(work(LONG))) as stream:  # type: ignore[type-var]
        await anext(stream)
    await becomes_idle(engine)

    task = asyncio.create_task(text_of(engine, work(LONG)))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await becomes_idle(engine)


async def test_a_full_queue_refuses_with_a_time_to_come_back(bench: Bench) -> None:
    engine = bench.engine(slots=1, queue_limit=1)
    await engine.start()
    async with aclosing(engine.submit(work("word " * 150))) as running:
        await anext(running)
        await is_at_work(engine, 1)
        async with aclosing(engine.submit(work("word " * 150))) as waiting:
            await anext(waiting)
            outcomes = await asyncio.gather(*(text_of(engine, work(LONG)) for _ in range(16)), return_exceptions=True)
        refused = [outcome for outcome in outcomes if isinstance(outcome, EngineBusy)]
        assert refused
        assert refused[0].retry_after_s
    await becomes_idle(engine)
    assert await text_of(engine, work(ASK))


async def test_a_deadline_ends_what_takes_too_long(engine: Engine) -> None:
    with pytest.raises(DeadlineExceeded):
        await text_of(engine, work(LONG, deadline_s=0.0))
    assert await text_of(engine, work(ASK, deadline_s=60))


async def test_closing_the_engine_ends_its_work_and_it_takes_no_more(bench: Bench) -> None:
    engine = bench.engine()
    await engine.start()
    stream = engine.submit(work("word " * 150))
    await anext(stream)
    await engine.aclose()
    with pytest.raises(EngineStopped):
        async for _ in stream:
            pass
    with pytest.raises(EngineStopped):
        await text_of(engine, work(ASK))
    await engine.aclose()


async def test_a_reader_that_stands_still_holds_up_nobody_else(engine: Engine) -> None:
    async with aclosing(engine.submit(work("word " * 150))) as stalled:  # type: ignore[type-var]
        await anext(stalled)
        async with asyncio.timeout(30):
            answers = await asyncio.gather(*(text_of(engine, work(ASK)) for _ in range(7)))
        assert len(set(answers)) == 1


async def test_a_beginning_that_was_computed_is_not_computed_again(engine: Engine) -> None:
    beginning = " ".join(f"word {number}" for number in range(20))
    deltas = [await deltas_of(engine, work(f"{beginning} {last}", max_tokens=2)) for last in ("one", "two", "one")]
    cached = [one[-1].usage.cached_tokens for one in deltas if one[-1].usage]
    assert cached[0] == 0 < cached[1] < cached[2]
    stats = await engine.stats()
    assert stats.cached_tokens == sum(cached)
    assert stats.cells_cached > 0


async def test_sixteen_at_once_say_what_each_says_alone(engine: Engine) -> None:
    words = ("apple", "river", "stone", "cloud", "table", "bridge", "candle", "mirror")
    countries = ("France", "Italy", "Spain", "Japan", "Peru", "Chile", "Cuba", "Egypt")
    asked = [f"Repeat after me: {word} {word}" for word in words]
    asked += [f"What is the capital of {country}?" for country in countries]
    alone = [await text_of(engine, work(text, max_tokens=24)) for text in asked]
    assert await asyncio.gather(*(text_of(engine, work(text, max_tokens=24)) for text in asked)) == alone


@pytest.mark.parametrize("tools", [(), (ToolSpec("f"),)], ids=["plain", "with-tools"])
@pytest.mark.parametrize("call", [ToolCall("1", "f", "{}"), ToolCall("1", "f", '{"a": "' + "x" * 40 + '"}')])
async def test_calls_that_cannot_fit_are_refused_before_they_are_rendered(
    engine: Engine, call: ToolCall, tools: tuple[ToolSpec, ...]
) -> None:
    many = Message(Role.ASSISTANT, "", tool_calls=(call,) * 128)
    prompt = ChatPrompt((Message(Role.USER, ASK), *(many,) * 400), tools)
    asked = Work("many", GenerateRequest("m", prompt, tool_use=ToolUse() if tools else None))
    with pytest.raises(ContextLengthExceeded, match=r"the prompt has \d{7} bytes") as refused:
        await deltas_of(engine, asked)
    assert refused.value.param == "messages"
    assert await text_of(engine, work(ASK, max_tokens=4))
