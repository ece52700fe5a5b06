"""What a number of streams at once gets out of a contender: tokens per second, and how long each reader waits."""

import asyncio
import itertools
import statistics
import time
from collections.abc import Sequence

from benchmarks.interleave import Figures
from benchmarks.peers import Peer
from benchmarks.wire import Streamed

SPEED = "tokens/s"
FIRST = "first token, ms"
GAP = "gap p50, ms"
GAP_P99 = "gap p99, ms"

_numbers = itertools.count(100_000)


def question() -> str:
    """A message that nobody can have cached, of as many tokens each time; the demo model answers it at length."""
    return f"{next(_numbers)} Count from one to fifty."


async def load(peer: Peer, streams: int, tokens: int, *, repeats: int = 1) -> Figures:
    """``streams`` readers, each with ``repeats`` answers one after the other of at most ``tokens``."""

    async def reader() -> list[Streamed]:
        return [await peer.ask(question(), tokens) for _ in range(repeats)]

    began = time.perf_counter()
    answers = list(itertools.chain.from_iterable(await asyncio.gather(*(reader() for _ in range(streams)))))
    return figures(answers, time.perf_counter() - began)


def figures(answers: Sequence[Streamed], elapsed_s: float) -> Figures:
    """Speed of all together, the median wait for a first piece, and the waits between two pieces of one answer."""
    first = statistics.median(answer.pieces_at[0] - answer.asked_at for answer in answers if answer.pieces_at)
    gaps = sorted(later - at for answer in answers for at, later in itertools.pairwise(answer.pieces_at))
    return {
        SPEED: sum(answer.tokens for answer in answers) / elapsed_s,
        FIRST: first * 1000,
        GAP: statistics.median(gaps) * 1000,
        GAP_P99: gaps[min(len(gaps) - 1, len(gaps) * 99 // 100)] * 1000,
    }
