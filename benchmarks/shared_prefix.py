"""What is computed once and used again: a burst of 8 requests on a long beginning, cold and warm; the second request on
one; a conversation of ten turns. And what a newcomer with a long prompt costs those who speak.

A server that computes a common beginning once is several times faster than one that computes it for each.
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
AGAIN = "first token again, times as fast"
LEAST_AGAIN = 8.0
TURNS = 10
CONVERSATION = "ten turns, s"
STALL = "stall, ms"
MOST_STALL = 250.0
SPEAKERS = 2
SPOKEN = 160
PLACES = ("north", "south", "east", "west", "river", "hill", "forest", "shore", "bridge", "market")

_numbers = itertools.count(1000)


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
    text = beginning(next(_numbers), words)
    return {COLD: await burst(peer, text, 100), WARM: await burst(peer, text, 200)}


async def first_token(peer: Peer, text: str) -> float:
    """Seconds until an answer begins."""
    streamed = await peer.ask(text, TOKENS)
    return streamed.pieces_at[0] - streamed.asked_at


async def conversation(peer: Peer, words: int) -> float:
    """Seconds for ten turns, each of which begins with all that was said before."""
    text = beginning(next(_numbers), words // TURNS)
    began = time.perf_counter()
    for turn in range(TURNS):
        await peer.ask(text, TOKENS)
        text += f" {beginning(turn, words // TURNS)}"
    return time.perf_counter() - began


async def stall(peer: Peer, words: int) -> float:
    """Milliseconds by which a prompt of so many words lengthens the longest gap between the words of who speaks."""
    speaking = [
        asyncio.ensure_future(peer.ask(f"Count to fifty and then say {place}", SPOKEN)) for place in PLACES[:SPEAKERS]
    ]
    await asyncio.sleep(0.2)  # until they speak
    came_at = time.perf_counter()
    newcomer = await peer.ask(beginning(next(_numbers), words), 1)
    gaps: dict[bool, list[float]] = {False: [0.0], True: [0.0]}
    for streamed in await asyncio.gather(*speaking):
        for before, after in itertools.pairwise(streamed.pieces_at):
            gaps[came_at <= after <= newcomer.ended_at].append(after - before)
    return (max(gaps[True]) - sorted(gaps[False])[len(gaps[False]) // 2]) * 1000


async def again(peer: Peer, words: int) -> Figures:
    """The second request on a beginning, a conversation, and a newcomer of nearly 2,000 tokens beside who speaks."""
    text = beginning(next(_numbers), words)
    cold = await first_token(peer, f"{text} one")
    figures = {AGAIN: cold / await first_token(peer, f"{text} two")}
    return {**figures, CONVERSATION: await conversation(peer, words), STALL: await stall(peer, words * 19 // 10)}


def own_verdicts(outcome: Outcome) -> str:
    """What is held to a bar of its own and not to a peer."""
    lines = []
    for name in (HTTP, PROCESS):
        if not outcome.rounds or name not in outcome.rounds[0]:
            continue
        faster, held = outcome.of(name, AGAIN), outcome.of(name, STALL)
        word = "pass" if faster.median >= LEAST_AGAIN else "MISS"
        lines.append(f"{word}: {name} begins the second answer {faster} times as fast, at least {LEAST_AGAIN}")
        word = "pass" if held.median <= MOST_STALL else "MISS"
        lines.append(f"{word}: a newcomer holds up who speaks to {name} by {held} ms, at most {MOST_STALL}")
    return "\n".join(lines)


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
        contenders = [Contender(name, partial(again, peer, words)) for name, peer in field.peers.items()]
        outcome = await interleave(contenders, limits(asked))
        text = f"{compared(outcome, LLAMA_SERVER, CONVERSATION)}\n\n{own_verdicts(outcome)}"
        report.add(f"Again and again on one beginning, {task.name}", outcome, text)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
