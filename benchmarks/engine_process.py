"""What the engine process costs against the same engine in a thread of the host, in one interleaved run.

Message round trips, tokens per second of 1 and 8 streams with the echo runner and with the demo model, and the time
from the death of an engine to the next answer. Ratios are of the best rounds: other work can only take away.
"""

import asyncio
import os
import signal
import statistics
import tempfile
import time
from pathlib import Path

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages import ChatPrompt, GenerateRequest, Message, Prompt, Role, Sampling, TextPrompt

ROUNDS = 9
ROUND_TRIPS = 2_000
DEATHS = 5

ECHO = ModelSpec("echo", "nowhere", runner="echo", n_ctx=8192, slots=8)
DEMO = ModelSpec("demo", str(DEMO_MODEL_PATH), n_ctx=4096, slots=8, threads=1)
ECHO_PROMPT = TextPrompt("word " * 500)
DEMO_PROMPT = ChatPrompt((Message(Role.USER, "Count from one to twenty."),))


async def tokens(engine: Engine, prompt: Prompt) -> tuple[int, float]:
    """How many tokens one stream yielded, and the seconds to its first piece."""
    request = GenerateRequest("m", prompt, Sampling(temperature=0.0), max_tokens=400)
    began = time.perf_counter()
    first_s = 0.0
    async for delta in engine.submit(Work(new_id(), request)):
        first_s = first_s or time.perf_counter() - began
        if delta.usage is not None:
            return delta.usage.completion_tokens, first_s
    raise AssertionError("an answer without its usage")


async def per_second(engine: Engine, prompt: Prompt, streams: int, repeats: int) -> tuple[float, float]:
    """Tokens per second over all streams, and the median milliseconds to a first piece."""
    began = time.perf_counter()
    done = [
        result
        for _ in range(repeats)
        for result in await asyncio.gather(*(tokens(engine, prompt) for _ in range(streams)))
    ]
    elapsed_s = time.perf_counter() - began
    return sum(count for count, _ in done) / elapsed_s, statistics.median(first for _, first in done) * 1000


async def throughput(name: str, thread: Engine, process: Engine, prompt: Prompt, repeats: int) -> None:
    for streams in (1, 8):
        rounds: dict[str, list[tuple[float, float]]] = {"thread": [], "process": []}
        for _ in range(ROUNDS):
            rounds["thread"].append(await per_second(thread, prompt, streams, repeats))
            rounds["process"].append(await per_second(process, prompt, streams, repeats))
        best = {mode: max(speed for speed, _ in results) for mode, results in rounds.items()}
        first = {mode: min(first_ms for _, first_ms in results) for mode, results in rounds.items()}
        print(
            f"{name:5} {streams} streams: thread {best['thread']:9.1f}  process {best['process']:9.1f} tokens/s"
            f"   process / thread {best['process'] / best['thread']:.3f}"
            f"   first piece {first['thread']:.2f} and {first['process']:.2f} ms"
        )


async def round_trips(thread: Engine, process: Engine) -> None:
    for name, engine in (("thread", thread), ("process", process)):
        times = []
        for _ in range(ROUND_TRIPS):
            began = time.perf_counter()
            await engine.stats()
            times.append((time.perf_counter() - began) * 1e6)
        p50, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(f"round trip {name:8} p50 {p50:7.1f} us   p99 {p99:7.1f} us")


async def recovery(process: ProcessEngine, prompt: Prompt) -> None:
    times = []
    for _ in range(DEATHS):
        pid = process.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        began = time.perf_counter()
        await tokens(process, prompt)
        times.append(time.perf_counter() - began)
    print(f"from the death of an engine to the end of the next answer: median {statistics.median(times):.2f} s")


async def compare(spec: ModelSpec, prompt: Prompt, repeats: int, runtime_dir: Path) -> None:
    thread, process = ThreadEngine(spec), ProcessEngine(spec, runtime_dir=runtime_dir, linger_s=0.0)
    try:
        await thread.start()
        began = time.perf_counter()
        await process.start()
        print(f"{spec.name}: process ready after {time.perf_counter() - began:.2f} s")
        await round_trips(thread, process)
        await throughput(spec.name, thread, process, prompt, repeats)
        await recovery(process, prompt)
    finally:
        await thread.aclose()
        await process.aclose()


async def main() -> None:
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as directory:
        await compare(ECHO, ECHO_PROMPT, 2, Path(directory) / "r")
        await compare(DEMO, DEMO_PROMPT, 2, Path(directory) / "r")


if __name__ == "__main__":
    asyncio.run(main())
