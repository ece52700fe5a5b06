"""The same request with the same seed is answered in the same words: alone, in company, in a thread, in a process."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import Tuning
from bodhi_asgi.messages.generation import Sampling
from tests.engine.gguf_files import write_full_precision
from tests.engine.support import LLAMA, text_of, work

LIVELY = Sampling(temperature=1.5, top_p=1, min_p=0, top_k=0)
KINDS = [
    LIVELY,
    Sampling(temperature=2, mirostat=1, mirostat_tau=6),
    Sampling(temperature=2, mirostat=2, mirostat_tau=6),
    replace(LIVELY, xtc_probability=0.5, xtc_threshold=0.05),
    replace(LIVELY, dynatemp_range=1, top_n_sigma=1.5),
    replace(LIVELY, dry_multiplier=1, frequency_penalty=0.5),
]
ASKED = "Tell me about the river and the stone"
TOKENS = 20


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """In full precision, as is the cache: what is rounded depends on who else is in the batch."""
    return write_full_precision(DEMO_MODEL_PATH, tmp_path_factory.mktemp("model") / "demo-f32.gguf")


@pytest.fixture
async def engines(model: Path, short_folder: Path) -> AsyncIterator[list[Any]]:
    exact = Tuning(cache_type_k="f32", cache_type_v="f32", flash_attention="off")
    spec = replace(LLAMA, path=str(model), slots=8, n_ctx=2048, tuning=exact)
    process = ProcessEngine(spec, runtime_dir=short_folder / "r", linger_s=0.0)
    made: list[Any] = [ThreadEngine(spec), process]
    for engine in made:
        await engine.start()
    yield made
    await made[0].aclose()
    await process.aclose(terminate=True)


async def test_a_seed_decides_the_answer_wherever_it_is_computed(engines: list[Any]) -> None:
    drawn = []
    for kind in KINDS:
        asked = [work(ASKED, sampling=replace(kind, seed=seed), max_tokens=TOKENS) for seed in range(4)]
        alone = [await text_of(engines[0], one) for one in asked]
        drawn.append(len(set(alone)))
        for engine in engines:
            company = [work(f"Count to {number}", sampling=LIVELY, max_tokens=TOKENS) for number in range(4)]
            together = await asyncio.gather(*(text_of(engine, again(one)) for one in [*asked, *company]))
            assert together[:4] == alone, kind
    assert sum(drawn) > 1.5 * len(drawn), "seeds make a difference"


def again(asked: Any) -> Any:
    """The same request under another id."""
    return replace(work(""), request=asked.request)
