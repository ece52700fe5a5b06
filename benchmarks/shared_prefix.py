"""A burst of 8 requests that share a long beginning: the first time it is seen, and again.

A server that computes the common beginning once is several times faster than one that computes it for each.
"""

import asyncio
import itertools
import time
from functools import partial

from benchmarks.interleave import Contender, Figures, Outcome, Report, compared, interleave, limits, parser
from benchmarks.peers import HTTP, LLAMA_SERVER, PROCESS, Peer, Task, started
from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH

REQUESTS = 8
TOKENS = 8
COLD = "cold, s"
WARM = "warm, s"
LEAST_COLD = 4.0
LEAST_WARM = 0.9
PLACES = ("north", "south", "east", "west", "river", "hill", "forest", "shore", "bridge", "market")

_bursts = itertools.count(1000)


def beginning(number: int, words: int) -> str:
    """A text of so many words that no other number gives."""
    walk = (PLACES[(number * (step + 7) + step * step) % len(PLACES)] for step in range(words))
    return f"{number} " + " ".join(walk)


async def burst(peer: Peer, text: str, seed: int) -> float:
    """Seconds until all requests are answered."""
    began = time.perf_counter()
    await asyncio.gather(*(peer.ask(f"{text} {seed + index}", TOKENS) for index in range(REQUESTS)))
    return time.perf_counter() - began


async def cold_and_warm(peer: Peer, words: int) -> Figures:
    text = beginning(next(_bursts), words)
    return {COLD: await burst(peer, text, 100), WARM: await burst(peer, text, 200)}


def verdicts(outcome: Outcome) -> str:
    """How many times faster than llama-server."""
    if not outcome.rounds or LLAMA_SERVER not in outcome.rounds[0]:
        return ""
    lines = []
    for name, (figure, least) in itertools.product((HTTP, PROCESS), ((COLD, LEAST_COLD), (WARM, LEAST_WARM))):
        faster = outcome.ratio(LLAMA_SERVER, name, figure)
        word = "pass" if faster.median >= least else "MISS"
        lines.append(f"{word}: {figure[:4]}, {name} is {faster} times as fast as {LLAMA_SERVER}, at least {least}")
    return "\n".join(lines)


async def main() -> None:
    asked = parser("A burst on a shared beginning.", rounds=3, full_rounds=3).parse_args()
    report = Report(as_json=asked.json)
    # About a thousand tokens each, as the two models cut these words.
    name, path, words = ("q4", random_model(), 300) if asked.full else ("tiny", DEMO_MODEL_PATH, 320)
    task = Task(name, path, slots=REQUESTS, n_ctx=16_384)
    async with started(task, (LLAMA_SERVER, HTTP, PROCESS)) as field:
        if field.missing:
            report.add("not here", field.missing, field.absent())
        contenders = [Contender(name, partial(cold_and_warm, peer, words)) for name, peer in field.peers.items()]
        outcome = await interleave(contenders, limits(asked))
        text = f"{compared(outcome, LLAMA_SERVER, COLD)}\n\n{verdicts(outcome)}"
        report.add(f"{REQUESTS} requests on one beginning, {task.name}", outcome, text)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
