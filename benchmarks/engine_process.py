"""What the way to the engine's process and back costs, against the same engine in a thread: the runner that computes
nothing leaves only the messages.

Host processor time per token and per request, the round trip of one message, and the time from the death of an engine
to the end of the next answer.
"""

import asyncio
import os
import signal
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.interleave import Contender, Figures, Report, compared, interleave, limits, parser, table
from benchmarks.machine import cpu_s
from benchmarks.peers import PROCESS, THREAD, EnginePeer, Task, spec
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import Engine, ModelSpec

ECHO = ModelSpec("echo", "nowhere", runner="echo", n_ctx=32_768, slots=8)
STREAMS = 8
WORDS = 400
REPEATS = 8
ROUND_TRIPS = 2_000
DEATHS = 5
HOST_CPU = "host CPU, us/token"


async def echoes(engine: Engine) -> Figures:
    """Many tokens that cost nothing to compute."""
    peer = EnginePeer(engine)

    async def reader() -> int:
        return sum([(await peer.ask("word " * WORDS, WORDS)).tokens for _ in range(REPEATS)])

    pid = engine.pid if isinstance(engine, ProcessEngine) else None
    began, host = time.perf_counter(), time.process_time()
    beside = cpu_s({pid}) if pid else 0.0
    tokens = sum(await asyncio.gather(*(reader() for _ in range(STREAMS))))
    elapsed, host = time.perf_counter() - began, time.process_time() - host
    beside = (cpu_s({pid}) if pid else 0.0) - beside
    trips = []
    for _ in range(ROUND_TRIPS):
        asked_at = time.perf_counter()
        await engine.stats()
        trips.append((time.perf_counter() - asked_at) * 1e6)
    return {
        "us/token": elapsed / tokens * 1e6,
        HOST_CPU: host / tokens * 1e6,
        "engine process CPU, us/token": beside / tokens * 1e6,
        "round trip p50, us": statistics.median(trips),
        "round trip p99, us": statistics.quantiles(trips, n=100)[98],
    }


async def recovery(folder: Path) -> list[float]:
    """Seconds from each death of an engine to the end of the next answer."""
    task = Task("tiny", DEMO_MODEL_PATH, slots=8)
    times = []
    for number in range(DEATHS):
        # Anew for each death: an engine that dies again and again is given a rest, and that is not what is timed.
        engine = ProcessEngine(spec(task), runtime_dir=folder / str(number), linger_s=0.0)
        try:
            await engine.start()
            pid = engine.pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            began = time.perf_counter()
            await EnginePeer(engine).ask("Hello", 8)
            times.append(time.perf_counter() - began)
        finally:
            await engine.aclose(terminate=True)
    return times


async def main() -> None:
    asked = parser("Messages between a host and its engine.", rounds=3, full_rounds=9).parse_args()
    report = Report(as_json=asked.json)
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        thread, process = ThreadEngine(ECHO), ProcessEngine(ECHO, runtime_dir=Path(folder) / "r", linger_s=0.0)
        try:
            await thread.start()
            await process.start()
            contenders = [Contender(THREAD, partial(echoes, thread)), Contender(PROCESS, partial(echoes, process))]
            outcome = await interleave(contenders, limits(asked))
            report.add(f"messages, {STREAMS} streams", outcome, compared(outcome, THREAD, HOST_CPU))
        finally:
            await thread.aclose()
            await process.aclose(terminate=True)
        times = await recovery(Path(folder))
        text = table(
            ["", "median, s", "most, s"], [["recovery", f"{statistics.median(times):.2f}", f"{max(times):.2f}"]]
        )
        report.add("from the death of an engine to the end of the next answer", {"seconds": times}, text)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
