"""Whether company changes an answer: greedy answers of many at once beside the same ones alone, in full precision.

With quantised weights llama.cpp rounds for each shape of a batch, and near ties fall differently; so this is done with
a copy of the demo model in 32-bit numbers, keys and values included. Of what still differs, both answers are shown,
and by how much likelier the token was that is said alone, where they part: a near tie is rounding, all else is not.
"""

import argparse
import asyncio
import math
import random
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import ModelSpec, Tuning, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.answers import Logprobs
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


class Difference(NamedTuple):
    """Two answers to one prompt, and the natural logarithm of how much likelier the token was that was said alone."""

    text: str
    alone: str
    together: str
    margin: float


def greedy(text: str, tokens: int, logprobs: int | None = None) -> Work:
    prompt = ChatPrompt((Message(Role.USER, text),))
    sampling = Sampling(temperature=0)
    return Work(new_id(), GenerateRequest("m", prompt, sampling, max_tokens=tokens, logprobs=logprobs))


async def answer(engine: ThreadEngine, text: str, tokens: int) -> str:
    """One greedy answer."""
    return "".join([delta.text async for delta in engine.submit(greedy(text, tokens))])


async def margin(engine: ThreadEngine, text: str, tokens: int, together: str) -> float:
    """How much likelier than the next was the first token that is said alone and not ``together``."""
    said = b""
    async for delta in engine.submit(greedy(text, tokens, logprobs=2)):
        for token in delta.part.tokens if isinstance(delta.part, Logprobs) else ():
            said += token.piece
            if not together.encode().startswith(said):
                first, second = (one.logprob for one in token.top)
                return first - second if first is not None and second is not None else math.inf
    return 0.0


async def compare(path: Path, checks: int, streams: int, tokens: int, seed: int) -> list[Difference]:
    """What differs. Each prompt is one check; equal prompts are asked anew."""
    # Without a cache, so that every check computes its prompt in the company that it has then.
    plain = ModelSpec("m", str(path), n_ctx=4096, slots=streams, queue_limit=checks, threads=1, prefix_sharing="none")
    rng = random.Random(seed)
    engine = ThreadEngine(replace(plain, tuning=Tuning(cache_type_k="f32", cache_type_v="f32")))
    await engine.start()
    free = asyncio.Semaphore(streams)
    alone: dict[str, str] = {}

    async def check(text: str) -> tuple[str, str] | None:
        async with free:
            together = await answer(engine, text, tokens)
        return (text, together) if together != alone[text] else None

    try:
        asked = [prompt(rng) for _ in range(checks)]
        for text in asked:
            if text not in alone:
                alone[text] = await answer(engine, text, tokens)
        parted = [one for one in await asyncio.gather(*map(check, asked)) if one is not None]
        return [
            Difference(text, alone[text], together, await margin(engine, text, tokens, together))
            for text, together in parted
        ]
    finally:
        await engine.aclose()


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
    for one in different[:10]:
        print(f"{one.text!r}, margin {one.margin:.2g}\n  alone    {one.alone!r}\n  together {one.together!r}")
    word = "MISS" if different else "pass"
    took_s = time.perf_counter() - began
    print(f"{word}: {len(different)} of {asked.checks} answers differ beside {asked.streams} others, in {took_s:.0f} s")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
