"""Reuse of what is computed already, in the real llama.cpp: the same words, fewer tokens, and nobody else's."""

import asyncio
import random
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.slots import IDS_FOR_CACHE
from bodhi_asgi.engine.types import ModelSpec, Tuning, Work
from bodhi_asgi.messages.answers import Delta, Usage
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role, TokenPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from tests.engine.gguf_files import write_full_precision
from tests.engine.memory_models import write_memory_model
from tests.engine.support import GREEDY, LLAMA, becomes_idle, deltas_of, numbers, text_of, work

STREAMS, TOKENS, NEAR_TIES = 8, 16, 0.005
WORDS = ("apple", "river", "stone", "cloud", "garden", "window", "table", "mountain", "forest", "bridge", "candle")


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """The demo model in full precision, where a difference cannot be blamed on rounding."""
    path = write_full_precision(DEMO_MODEL_PATH, tmp_path_factory.mktemp("model") / "demo-f32.gguf")
    return replace(LLAMA, path=str(path), n_ctx=2048, slots=STREAMS, queue_limit=2000, queue_limit_per_owner=2000)


@pytest.fixture
async def engine(spec: ModelSpec) -> AsyncIterator[ThreadEngine]:
    engine = ThreadEngine(spec)
    await engine.start()
    yield engine
    await engine.aclose()


@pytest.fixture
async def forgetful(spec: ModelSpec) -> AsyncIterator[ThreadEngine]:
    """An engine that computes everything anew."""
    engine = ThreadEngine(replace(spec, prefix_sharing="none"))
    await engine.start()
    yield engine
    await engine.aclose()


def branching(rng: random.Random, prompts: int) -> list[str]:
    """Prompts that begin like others and leave them somewhere, some to the last word the same."""
    made = [" ".join(rng.choice(WORDS) for _ in range(rng.randint(20, 120))) for _ in range(4)]
    while len(made) < prompts:
        words = rng.choice(made).split()
        kept = words[: rng.randint(len(words) // 2, len(words))]
        made.append(" ".join([*kept, *(rng.choice(WORDS) for _ in range(rng.choice((0, 1, 3, 20))))][:160]))
    rng.shuffle(made)
    return made


async def last_of(engine: ThreadEngine, asked: Work) -> tuple[str, Usage]:
    deltas: list[Delta] = await deltas_of(engine, asked)
    usage = deltas[-1].usage
    assert usage is not None
    return "".join(delta.text for delta in deltas), usage


async def test_prompts_that_share_beginnings_are_answered_as_each_would_be_alone(
    engine: ThreadEngine, forgetful: ThreadEngine
) -> None:
    asked = branching(random.Random(7), 120)
    alone = [await text_of(forgetful, work(text, max_tokens=TOKENS)) for text in asked]
    free = asyncio.Semaphore(2 * STREAMS)

    async def staggered(text: str) -> tuple[str, Usage]:
        async with free:
            return await last_of(engine, work(text, max_tokens=TOKENS))

    together = await asyncio.gather(*(staggered(text) for text in asked))
    different = [text for text, solo, (said, _) in zip(asked, alone, together, strict=True) if solo != said]
    assert len(different) <= len(asked) * NEAR_TIES, different
    stats = await engine.stats()
    assert stats.cached_tokens == sum(usage.cached_tokens for _, usage in together)
    assert stats.cached_tokens > stats.prompt_tokens / 2, "most of it was there already"
    assert stats.cells_cached
    assert (await forgetful.stats()).cached_tokens == (await forgetful.stats()).cells_cached == 0
    await becomes_idle(engine)


async def test_each_turn_of_a_conversation_computes_only_what_is_new(
    engine: ThreadEngine, forgetful: ThreadEngine
) -> None:
    messages: tuple[Message, ...] = ()
    before = 0
    for turn in range(6):
        messages = (*messages, Message(Role.USER, f"What is the capital of {('France', 'Italy', 'Spain')[turn % 3]}?"))
        request = GenerateRequest("m", ChatPrompt(messages), GREEDY, max_tokens=24)
        said, usage = await last_of(engine, Work(f"c{next(numbers)}", request))
        assert said == await text_of(forgetful, Work(f"c{next(numbers)}", request))
        assert usage.cached_tokens >= before
        before = usage.prompt_tokens + usage.completion_tokens - 2
        messages = (*messages, Message(Role.ASSISTANT, said))
    assert usage.cached_tokens > 0.8 * usage.prompt_tokens


async def test_a_burst_on_one_beginning_computes_it_once(engine: ThreadEngine) -> None:
    stem = " ".join(random.Random(3).choice(WORDS) for _ in range(150))
    answers = await asyncio.gather(
        *(last_of(engine, work(f"{stem} {number}", max_tokens=2)) for number in range(STREAMS))
    )
    cached = sorted(usage.cached_tokens for _, usage in answers)
    assert cached[0] == 0, "somebody has to compute it"
    assert cached[1] > 0.9 * answers[0][1].prompt_tokens


async def test_what_one_owner_has_computed_answers_no_other_sooner_unless_all_may_share(spec: ModelSpec) -> None:
    stem = " ".join(WORDS * 4)
    for sharing, is_shared in (("owner", False), ("all", True)):
        engine = ThreadEngine(replace(spec, prefix_sharing=sharing))
        await engine.start()
        asked = [await last_of(engine, work(stem, owner=owner, max_tokens=2)) for owner in ("ada", "ada", "bob", "")]
        await engine.aclose()
        cached = [usage.cached_tokens > 0 for _, usage in asked]
        assert cached == [False, True, is_shared, is_shared]


async def test_a_cache_that_is_full_gives_way_and_nobody_notices(spec: ModelSpec, forgetful: ThreadEngine) -> None:
    engine = ThreadEngine(replace(spec, n_ctx=256, slots=4))
    await engine.start()
    asked = branching(random.Random(11), 60)
    asked = [" ".join(text.split()[:40]) for text in asked]
    alone = [await text_of(forgetful, work(text, max_tokens=TOKENS)) for text in asked]
    together = await asyncio.gather(*(text_of(engine, work(text, max_tokens=TOKENS)) for text in asked))
    assert sum(one != other for one, other in zip(alone, together, strict=True)) <= len(asked) * NEAR_TIES
    await becomes_idle(engine)
    await engine.aclose()


@pytest.mark.parametrize("tuning", [Tuning(), Tuning(cache_type_k="q8_0"), Tuning(flash_attention="off")])
async def test_more_conversations_than_there_are_cells_for_each_compute_only_what_is_new(
    spec: ModelSpec, tuning: Tuning
) -> None:
    spec = replace(spec, n_ctx=512, slots=2, prefix_memory_bytes=2**24, tuning=tuning)
    engine, forgetful = ThreadEngine(spec), ThreadEngine(replace(spec, prefix_sharing="none"))
    await engine.start()
    await forgetful.start()
    rng = random.Random(5)
    talks = [" ".join(rng.choice(WORDS) for _ in range(40)) for _ in range(6)]
    for turn in range(3):
        for owner, talk in enumerate(talks):
            said, usage = await last_of(engine, work(talk, owner=f"{owner}", max_tokens=TOKENS))
            assert said == await text_of(forgetful, work(talk, max_tokens=TOKENS))
            assert usage.prompt_tokens - usage.cached_tokens < (30 if turn else 1000)
            talks[owner] = f"{talk} and {rng.choice(WORDS)}"
    stats = await engine.stats()
    assert stats.cells_stowed > spec.n_ctx / 2
    assert (await forgetful.stats()).cells_stowed == 0
    await becomes_idle(engine)
    await engine.aclose()
    await forgetful.aclose()


async def test_what_a_cancelled_request_has_computed_is_there_for_the_next(engine: ThreadEngine) -> None:
    text = " ".join(WORDS * 12)
    stream = engine.submit(work(text, max_tokens=100))
    said = ""
    async for delta in stream:
        said += delta.text
        if said:
            break
    await stream.aclose()
    _, usage = await last_of(engine, work(text, max_tokens=2))
    assert usage.cached_tokens == usage.prompt_tokens - 1


# -- models that can only be shared as they stand


@pytest.fixture(scope="module", params=["mamba", "jamba", "gemma3"])
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """A model with a state, one with a state and a cache, and one with a window."""
    path = write_memory_model(tmp_path_factory.mktemp("model") / "model.gguf", request.param)
    return replace(LLAMA, name=request.param, path=str(path), n_ctx=4096, slots=STREAMS, queue_limit=2000)


async def test_a_state_or_a_window_is_shared_as_it_stands_and_changes_no_answer(whole: ModelSpec) -> None:
    engine, forgetful = ThreadEngine(whole), ThreadEngine(replace(whole, prefix_sharing="none"))
    facts = await engine.start()
    await forgetful.start()
    assert (facts.reuse, facts.sequences) == ("whole", STREAMS + IDS_FOR_CACHE["whole"])
    asked = branching(random.Random(13), 60)
    asked = [" ".join(text.split()[:60]) for text in asked]
    alone = [await text_of(forgetful, work(text, max_tokens=TOKENS)) for text in asked]
    together = await asyncio.gather(*(last_of(engine, work(text, max_tokens=TOKENS)) for text in asked))
    again = [await last_of(engine, work(text, max_tokens=TOKENS)) for text in asked]
    different = [text for text, solo, (said, _), (same, _) in zip(asked, alone, together, again, strict=True)
                 if not solo == said == same]  # fmt: skip
    assert not different
    assert sum(usage.cached_tokens > 0 for _, usage in together) > 10
    await becomes_idle(engine)
    await engine.aclose()
    await forgetful.aclose()


async def test_an_answer_to_the_same_prompt_goes_on_from_a_copy_of_its_state(whole: ModelSpec) -> None:
    engine = ThreadEngine(whole)
    await engine.start()
    text = " ".join(WORDS * 4)
    said, first = await last_of(engine, work(text, max_tokens=TOKENS))
    again, second = await last_of(engine, work(text, max_tokens=TOKENS))
    assert (first.cached_tokens, second.cached_tokens, again) == (0, first.prompt_tokens - 1, said)
    burst = await asyncio.gather(*(last_of(engine, work(f"{text} new", max_tokens=TOKENS)) for _ in range(4)))
    assert len({said for said, _ in burst}) == 1
    assert sorted(usage.prompt_tokens - usage.cached_tokens for _, usage in burst)[:3] == [1, 1, 1]
    await engine.aclose()


async def test_the_next_turn_goes_on_from_the_state_at_the_end_of_the_last(whole: ModelSpec) -> None:
    engine, forgetful = ThreadEngine(whole), ThreadEngine(replace(whole, prefix_sharing="none"))
    await engine.start()
    await forgetful.start()
    tokens, word = [100 + number for number in range(80)], 500
    always = Sampling(temperature=0, logit_bias=((word, 100.0),))
    for turn in range(4):
        request = GenerateRequest("m", TokenPrompt(tuple(tokens)), always, max_tokens=6)
        said, usage = await last_of(engine, Work(f"s{next(numbers)}", request))
        assert said == await text_of(forgetful, Work(f"s{next(numbers)}", request))
        assert usage.cached_tokens == (len(tokens) - 4 if turn else 0), "its last word was not computed any more"
        tokens += [*[word] * 6, 200 + turn, 300, 301]
    await engine.aclose()
    await forgetful.aclose()
