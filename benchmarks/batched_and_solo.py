"""Whether company changes an answer: greedy answers of many at once beside the same ones alone, in full precision.

With quantised weights llama.cpp rounds for each shape of a batch, and near ties fall differently; so this is done with
a copy of the demo model in 32-bit numbers. Of what still differs, both answers are shown.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import ModelSpec, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling
from tests.engine.gguf_files import write_full_precision

WORDS: Final = ("apple", "river", "stone", "cloud", "garden", "window", "table", "mountain", "forest", "bridge")
COUNTRIES: Final = ("France", "Germany", "Italy", "Spain", "Portugal", "Poland", "Norway", "Sweden", "Japan", "China")


def prompt(rng: random.Random) -> str:
    """One of four kinds of questions, of one to twenty words."""
    words = " ".join(rng.choice(WORDS) for _ in range(rng.randint(1, 20)))
    return rng.choice(
        (
            f"Repeat after me: {words}",
            f"What is the capital of {rng.choice(COUNTRIES)}?",
            f"Tell me about {words}",
            f"Count to {rng.randint(2, 20)}",
        )
    )


async def answer(engine: ThreadEngine, text: str, tokens: int) -> str:
    """One greedy answer."""
    asked = GenerateRequest("m", ChatPrompt((Message(Role.USER, text),)), Sampling(temperature=0), max_tokens=tokens)
    return "".join([delta.text async for delta in engine.submit(Work(new_id(), asked))])


async def compare(path: Path, checks: int, streams: int, tokens: int, seed: int) -> list[tuple[str, str, str]]:
    """The prompts whose answers differ, with both of them. Each prompt is one check; equal prompts are asked anew."""
    # Without a cache, so that every check computes its prompt in the company that it has then.
    spec = ModelSpec("m", str(path), n_ctx=4096, slots=streams, queue_limit=checks, threads=1, prefix_sharing="none")
    rng = random.Random(seed)
    engine = ThreadEngine(spec)
    await engine.start()
    free = asyncio.Semaphore(streams)
    alone: dict[str, str] = {}

    async def check(text: str) -> tuple[str, str, str] | None:
        async with free:
            together = await answer(engine, text, tokens)
        return (text, alone[text], together) if together != alone[text] else None

    try:
        asked = [prompt(rng) for _ in range(checks)]
        for text in asked:
            if text not in alone:
                alone[text] = await answer(engine, text, tokens)
        found = await asyncio.gather(*map(check, asked))
    finally:
        await engine.aclose()
    return [one for one in found if one is not None]


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--checks", type=int, default=1000, help="10,000 are what the goal asks for")
    options.add_argument("--streams", type=int, default=16)
    options.add_argument("--tokens", type=int, default=16)
    options.add_argument("--seed", type=int, default=0)
    asked = options.parse_args()
    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        path = write_full_precision(DEMO_MODEL_PATH, Path(folder) / "demo-f32.gguf")
        different = asyncio.run(compare(path, asked.checks, asked.streams, asked.tokens, asked.seed))
    for text, solo, together in different[:10]:
        print(f"{text!r}\n  alone    {solo!r}\n  together {together!r}")
    word = "MISS" if different else "pass"
    took_s = time.perf_counter() - began
    print(f"{word}: {len(different)} of {asked.checks} answers differ beside {asked.streams} others, in {took_s:.0f} s")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
