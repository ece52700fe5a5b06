"""A thousand streams open at once against `bodhi serve` with the runner that computes nothing: all must end well.

Processor time and memory for each, beside a bare Starlette application that streams the same number of pieces.
"""

import asyncio
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.hosts import PIECES
from benchmarks.interleave import Contender, Figures, Report, compared, interleave, limits, parser
from benchmarks.machine import command_line, cpu_s, family_of, memory, peak_rss_mib
from benchmarks.peers import HTTP, HttpPeer, bodhi, free_port, new_token, process
from benchmarks.wire import Streamed

STREAMS = 1000
BARE = "bare Starlette"
CPU = "server CPU, ms/stream"
TEXT = "word " * PIECES


def most_at_once(answers: Sequence[Streamed]) -> int:
    """How many streams were open at the same time."""
    changes = sorted([(a.asked_at, 1) for a in answers] + [(a.ended_at, -1) for a in answers])
    open_now = most = 0
    for _, change in changes:
        open_now += change
        most = max(most, open_now)
    return most


async def thousand(peer: HttpPeer, streams: int) -> Figures:
    """All streams at once. Raises Refused when one of them does not end as it should."""
    server = peer.process.pid
    engines = {pid for pid in family_of(server) if "bodhi_asgi.engine" in command_line(pid)}
    before, used, beside = memory(server).rss, cpu_s({server}), cpu_s(engines)
    began = time.perf_counter()
    answers = await asyncio.gather(*(peer.ask(TEXT, PIECES + 10) for _ in range(streams)))
    elapsed = time.perf_counter() - began
    complete = sum(len(answer.pieces_at) > 0 and answer.tokens >= PIECES for answer in answers)
    return {
        "complete": complete,
        "open at once": most_at_once(answers),
        "seconds": elapsed,
        CPU: (cpu_s({server}) - used) / streams * 1000,
        "engine CPU, ms/stream": (cpu_s(engines) - beside) / streams * 1000,
        "memory, KiB/stream": (peak_rss_mib(server) - before) / streams * 1024,
        "peak RSS, MiB": peak_rss_mib(server),
        "last first piece, s": max(answer.pieces_at[0] - answer.asked_at for answer in answers),
    }


async def bodhi_round(streams: int) -> Figures:
    """A fresh server each round: peaks of memory are of its whole life."""
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        headers, port = new_token(Path(folder)), free_port()
        command = bodhi("serve", "--data-dir", folder, "--port", str(port), "--no-demo", "--model", "bench=nowhere")
        settings = {"RUNNER": "echo", "SLOTS": "256", "N_CTX": "1048576", "LINGER_S": "0"}
        settings |= {"QUEUE_LIMIT": "10000", "QUEUE_LIMIT_PER_CALLER": "10000"}
        environment = {f"BODHI_ENGINE__{name}": value for name, value in settings.items()}
        async with process(command, port=port, ready="/health/ready", **environment) as launched:
            peer = HttpPeer(port, "bench", launched, headers)
            await peer.ask("word", 4)
            return await thousand(peer, streams)


async def bare_round(streams: int) -> Figures:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "benchmarks.hosts:streaming", "--port", str(port)]
    async with process([*command, "--log-level", "warning", "--no-access-log"], port=port, ready="/ask") as launched:
        peer = HttpPeer(port, "bench", launched)
        await peer.ask("word", 4)
        return await thousand(peer, streams)


async def main() -> None:
    options = parser("A thousand concurrent streams.", rounds=1, full_rounds=5)
    options.add_argument("--streams", type=int, default=STREAMS)
    asked = options.parse_args()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 3 * asked.streams)), hard))
    report = Report(as_json=asked.json)
    contenders = [
        Contender(HTTP, partial(bodhi_round, asked.streams)),
        Contender(BARE, partial(bare_round, asked.streams)),
    ]
    outcome = await interleave(contenders, limits(asked))
    text = compared(outcome, BARE, CPU)
    if outcome.rounds:
        least = min(figures[HTTP]["complete"] for figures in outcome.rounds)
        word = "pass" if least == asked.streams else "MISS"
        text += f"\n\n{word}: {least:.0f} of {asked.streams} streams complete in every round"
    report.add(f"{asked.streams} streams at once", outcome, text)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
