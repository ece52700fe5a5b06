"""Whether company changes an answer: greedy answers of many at once beside the same ones alone, in full precision.

With quantised weights llama.cpp rounds for each shape of a batch, and near ties fall differently; so this is done with
a copy of the demo model in 32-bit numbers, keys and values included, and without llama.cpp's flash attention, which on
a processor rounds to thousandths, also by the shape of a batch. Of what still differs, both answers are shown, and by
how much likelier the token was that is said alone, where they part: a near tie is rounding, all else is not.
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
from typing import Final, NamedTuple, TypeAlias

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import ModelSpec, Tuning, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.answers import Logprobs, TokenLogprob
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
    """Two answers to one prompt, and how much likelier the token alone was than the next one where they part.

    ``margin`` is of natural logarithms. The answers part at a token: what reads alike up to there may be spelt
    otherwise, as a space and a word for a word with its space.
    """

    text: str
    alone: str
    together: str
    margin: float


Spoken: TypeAlias = tuple[TokenLogprob, ...]


async def answer(engine: ThreadEngine, text: str, tokens: int) -> Spoken:
    """One greedy answer, token by token, with the two likeliest at each place."""
    prompt = ChatPrompt((Message(Role.USER, text),))
    request = GenerateRequest("m", prompt, Sampling(temperature=0), max_tokens=tokens, logprobs=2)
    parts = [delta.part async for delta in engine.submit(Work(new_id(), request))]
    return tuple(token for part in parts if isinstance(part, Logprobs) for token in part.tokens)


def difference(text: str, alone: Spoken, together: Spoken) -> Difference | None:
    """Where one answer says another token than the other; None where they are the same."""
    for one, other in zip(alone, together, strict=False):
        if one.token != other.token:
            first, second = (each.logprob or 0.0 for each in one.top)
            return Difference(text, written(alone), written(together), first - second)
    return None if len(alone) == len(together) else Difference(text, written(alone), written(together), math.inf)


def written(spoken: Spoken) -> str:
    return b"".join(token.piece for token in spoken).decode("utf-8", "replace")


async def compare(path: Path, checks: int, streams: int, tokens: int, seed: int) -> list[Difference]:
    """What differs. Each prompt is one check; equal prompts are asked anew."""
    # Without a cache, so that every check computes its prompt in the company that it has then.
    plain = ModelSpec("m", str(path), n_ctx=4096, slots=streams, queue_limit=checks, threads=1, prefix_sharing="none")
    rng = random.Random(seed)
    exact = Tuning(cache_type_k="f32", cache_type_v="f32", flash_attention="off")
    engine = ThreadEngine(replace(plain, tuning=exact))
    await engine.start()
    free = asyncio.Semaphore(streams)
    alone: dict[str, Spoken] = {}

    async def check(text: str) -> Difference | None:
        async with free:
            return difference(text, alone[text], await answer(engine, text, tokens))

    try:
        asked = [prompt(rng) for _ in range(checks)]
        for text in asked:
            if text not in alone:
                alone[text] = await answer(engine, text, tokens)
        return [one for one in await asyncio.gather(*map(check, asked)) if one is not None]
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
    if different:
        print(f"the widest margin at which they part: {max(one.margin for one in different):.2g}")
    print(f"{word}: {len(different)} of {asked.checks} answers differ beside {asked.streams} others, in {took_s:.0f} s")
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
