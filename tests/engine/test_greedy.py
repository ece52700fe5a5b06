"""Many at once in the real llama.cpp: each answer is what it would be alone, and nothing is left of who leaves."""

import asyncio
import gc
import random
import threading
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import llama_cpp
import numpy as np
import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from tests.engine.gguf_files import write_full_precision
from tests.engine.support import LLAMA, becomes_idle, text_of, work

STREAMS, PROMPTS, TOKENS, CANCELLATIONS = 16, 200, 24, 1000
NEAR_TIE = 1e-3
WORDS = ("apple", "river", "stone", "cloud", "garden", "window", "table", "mountain", "forest", "bridge", "candle")
COUNTRIES = ("France", "Germany", "Italy", "Spain", "Portugal", "Poland", "Norway", "Sweden", "Japan", "China", "Egypt")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo model in full precision."""
    return write_full_precision(DEMO_MODEL_PATH, tmp_path_factory.mktemp("model") / "demo-f32.gguf")


@pytest.fixture
async def engine(model: Path) -> AsyncIterator[ThreadEngine]:
    engine = ThreadEngine(replace(LLAMA, path=str(model), n_ctx=2048, slots=STREAMS, queue_limit=2000))
    await engine.start()
    yield engine
    await engine.aclose()


def prompts(seed: int) -> list[str]:
    rng = random.Random(seed)
    made = []
    for _ in range(PROMPTS):
        kind = rng.randint(0, 3)
        words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 20)))
        country = rng.choice(COUNTRIES)
        made.append([f"Repeat after me: {words}", f"What is the capital of {country}?", f"Tell me about {words}",
                     f"Count to {rng.randint(2, 20)}"][kind])  # fmt: skip
    return made


def smallest_gap(path: Path, text: str, tokens: int) -> float:
    """The smallest distance between the two likeliest tokens anywhere on the way of a solo answer."""
    model = llama_cpp.Llama(str(path), n_ctx=512, n_threads=1, verbose=False)
    prompt = f"<|im_start|>user\n{text}<|im_end|>\n<|im_start|>assistant\n"
    model.eval(model.tokenize(prompt.encode(), add_bos=False, special=True))
    gaps = []
    for _ in range(tokens):
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(model.ctx), shape=(model.n_vocab(),))
        second, first = np.argsort(logits)[-2:]
        gaps.append(float(logits[first] - logits[second]))
        if first == model.token_eos():
            break
        model.eval([int(first)])
    model.close()
    return min(gaps)


async def test_staggered_streams_equal_their_solo_answers(engine: ThreadEngine, model: Path) -> None:
    asked = prompts(1)
    alone = [await text_of(engine, work(text, max_tokens=TOKENS)) for text in asked]
    free = asyncio.Semaphore(STREAMS)

    async def staggered(text: str) -> str:
        async with free:
            return await text_of(engine, work(text, max_tokens=TOKENS))

    together = await asyncio.gather(*(staggered(text) for text in asked))

    different = [text for text, solo, batched in zip(asked, alone, together, strict=True) if solo != batched]
    near_ties = {text: smallest_gap(model, text, TOKENS) for text in different}
    assert len(different) <= PROMPTS * 0.005, near_ties
    assert all(gap < NEAR_TIE for gap in near_ties.values()), near_ties


async def test_a_thousand_cancellations_leave_nothing_behind(engine: ThreadEngine) -> None:
    rng = random.Random(2)
    asked = prompts(3)
    await text_of(engine, work(asked[0], max_tokens=4))
    before = (threading.active_count(), len(asyncio.all_tasks()), open_files())

    async def come_and_go(text: str, after: int) -> None:
        stream = engine.submit(work(text, max_tokens=48))
        try:
            for _ in range(after):
                await anext(stream)
        except StopAsyncIteration:
            pass
        finally:
            await stream.aclose()

    async def cancelled(text: str, after: int) -> None:
        task = asyncio.create_task(come_and_go(text, 100))
        for _ in range(after):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])

    for start in range(0, CANCELLATIONS, 50):
        await asyncio.gather(
            *(
                rng.choice([come_and_go, cancelled])(asked[number % PROMPTS], rng.randint(0, 12))
                for number in range(start, start + 50)
            )
        )
    await becomes_idle(engine)
    gc.collect()
    assert (threading.active_count(), len(asyncio.all_tasks()), open_files()) == before
    assert await text_of(engine, work("What is the capital of France?")) == "The capital of France is Paris."


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))
