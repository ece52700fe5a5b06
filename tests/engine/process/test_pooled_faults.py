"""Texts in batches when the engine process dies: the culprit is found, and nobody else is blamed."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.errors import RequestQuarantined
from bodhi_asgi.engine.types import ModelSpec
from tests.engine.support import becomes_idle
from tests.engine.test_pooled_contract import embed, rows_of


@pytest.fixture
async def engine() -> AsyncIterator[ProcessEngine]:
    folder = Path(tempfile.mkdtemp(prefix="bp-", dir="/tmp"))
    made = ProcessEngine(ModelSpec("p", "nowhere", runner="poison", n_ctx=256), runtime_dir=folder, linger_s=0.0)
    await made.start()
    yield made
    await made.aclose(terminate=True)
    shutil.rmtree(folder)


@pytest.mark.parametrize("deed", ["segv", "abort", "exit0", "raise", "garbage-frame", "half-frame"])
async def test_a_text_that_ends_two_engines_is_not_tried_a_third_time(engine: ProcessEngine, deed: str) -> None:
    bystanders = [asyncio.create_task(rows_of(engine, embed(f"innocent {number}"))) for number in range(4)]
    with pytest.raises(RequestQuarantined):
        await rows_of(engine, embed(f"poison: {deed}"))
    assert [len(rows) for rows in await asyncio.gather(*bystanders)] == [1] * 4
    restarts = engine.restarts
    with pytest.raises(RequestQuarantined):
        await rows_of(engine, embed(f"poison: {deed}"))
    assert len(await rows_of(engine, embed("harmless"))) == 1
    assert engine.restarts == restarts
    await becomes_idle(engine)


async def test_a_text_that_hangs_is_ended_with_its_engine(engine: ProcessEngine) -> None:
    hanging = asyncio.create_task(rows_of(engine, embed("poison: hang")))
    with pytest.raises(RequestQuarantined):
        await asyncio.wait_for(hanging, 60)
    assert len(await rows_of(engine, embed("harmless"))) == 1
