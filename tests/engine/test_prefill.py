"""A prompt that nobody waits for any more is not computed to its end."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.plan import Row, StepOutcome, StepPlan
from bodhi_asgi.engine.runner import make_runner
from bodhi_asgi.messages.conversation import TextPrompt
from tests.engine.support import LLAMA, becomes_idle, deltas_of, text_of, work

# One step computes all of it: only between the nodes of the graph can it be stopped.
SPEC = replace(LLAMA, n_ctx=2048, n_batch=2048)
LONG = "The quick brown fox jumps over the lazy dog. " * 70


async def test_a_prefill_is_stopped_in_the_middle_of_its_step() -> None:
    engine: Any = ThreadEngine(SPEC)
    await engine.start()
    loop = engine._engine
    before = loop.progress
    assert (await deltas_of(engine, work(LONG, max_tokens=1)))[-1].usage is not None
    whole = loop.progress - before
    assert whole > 100, "llama.cpp counts the nodes of its graph"
    computed = []
    for number in range(10):
        before = loop.progress
        async with aclosing(engine.submit(work(f"{number} {LONG}", max_tokens=1))) as stream:
            await anext(stream)
            async with asyncio.timeout(20):
                while loop.progress < before + whole // 10:
                    await asyncio.sleep(0)
        await becomes_idle(engine)
        computed.append(loop.progress - before)
    assert sorted(computed)[len(computed) // 2] < whole * 0.8, (whole, computed)
    assert await text_of(engine, work("What is bodhi_asgi?"))
    await engine.aclose()


def test_who_interrupts_a_moment_early_interrupts_the_step_that_follows_and_no_other() -> None:
    runner = make_runner(SPEC)
    runner.load(lambda _: True)
    runner.begin(0, work(LONG).request)
    tokens = tuple(runner.vocabulary.encode(TextPrompt(LONG)))
    plan = StepPlan((Row(0, 0, 0, tokens, wants_token=True),))
    runner.interrupt()
    assert runner.run(plan).outcome is StepOutcome.ABORTED
    assert runner.run(plan).outcome is StepOutcome.DONE
    runner.unload()
