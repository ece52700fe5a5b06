"""What an engine process holds after 1,000 requests, and by how much it grows with each once it is warm. Linux only."""

import argparse
import asyncio
import tempfile
from pathlib import Path
from typing import Final

from benchmarks.interleave import table
from benchmarks.machine import memory
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.types import ModelSpec, Work
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

AT_ONCE: Final = 8
WARM: Final = 0.2
"""The share of the requests after which growth is counted."""


async def ask(engine: ProcessEngine, number: int) -> None:
    prompt = ChatPrompt((Message(Role.USER, f"What is the capital of country number {number}?"),))
    work = Work(f"w{number}", GenerateRequest("m", prompt, Sampling(temperature=0.7, seed=number), max_tokens=16))
    async for _ in engine.submit(work):
        pass


async def measure(requests: int) -> list[tuple[int, float]]:
    """Requests answered so far, and MiB of the engine's own memory then."""
    spec = ModelSpec("m", str(DEMO_MODEL_PATH), n_ctx=2048, slots=AT_ONCE, threads=1)
    found = []
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        engine = ProcessEngine(spec, runtime_dir=Path(folder) / "r", linger_s=0)
        try:
            await engine.start()
            assert engine.pid is not None
            for begin in range(0, requests, AT_ONCE):
                await asyncio.gather(*(ask(engine, begin + more) for more in range(AT_ONCE)))
                found.append((begin + AT_ONCE, memory(engine.pid).pss))
        finally:
            await engine.aclose(terminate=True)
    return found


def slope(points: list[tuple[int, float]]) -> float:
    """KiB per request, by least squares over the points after the warm-up."""
    warm = points[int(len(points) * WARM) :]
    mean_x = sum(x for x, _ in warm) / len(warm)
    mean_y = sum(y for _, y in warm) / len(warm)
    spread = sum((x - mean_x) ** 2 for x, _ in warm)
    return 1024 * sum((x - mean_x) * (y - mean_y) for x, y in warm) / spread if spread else 0.0


async def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--requests", type=int, default=1000)
    points = await measure(options.parse_args().requests)
    first, last = points[int(len(points) * WARM)], points[-1]
    head = ("requests", "MiB when warm", "MiB at the end", "KiB per request")
    print(table(head, [[str(last[0]), f"{first[1]:.1f}", f"{last[1]:.1f}", f"{slope(points):.2f}"]]))


if __name__ == "__main__":
    asyncio.run(main())
