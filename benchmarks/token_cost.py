"""What one token costs in microseconds of processor, stage by stage, while several streams generate.

A stopwatch is put around the engine's own steps, and reads the time that their thread had a core, so that others on the
machine do not count; decoding is what is left of a step when laying out the batch and drawing are taken off. Delivering
is the hand-over to the event loop. Framing for the socket and encoding for HTTP are measured on the chunks that came
out.
"""

import argparse
import asyncio
import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import orjson

from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.process.protocol import chunk_frames, chunk_to_row
from bodhi_asgi.engine.runners.llama import LlamaRunner
from bodhi_asgi.engine.runners.llama_batch import Batch
from bodhi_asgi.engine.runners.llama_draw import Drawer
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.types import Chunk, ModelSpec, Work
from bodhi_asgi.formats.openai_chat.encode import ChunkEncoder
from bodhi_asgi.http.stream import frame
from bodhi_asgi.messages.answers import Delta
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

STAGES: Final = ("schedule", "build", "decode", "sample", "detokenise", "deliver", "frame", "encode")
KINDS: Final[dict[str, dict[str, Any]]] = {
    "greedy": {"sampling": Sampling(temperature=0)},
    "drawn": {"sampling": Sampling(temperature=1, seed=1)},
    "logprobs": {"sampling": Sampling(temperature=0), "logprobs": 5},
    "dry": {"sampling": Sampling(temperature=1, seed=1, dry_multiplier=1)},
}


class Stopwatch:
    """Seconds by stage."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()

    def timed(self, stage: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                self.spent[stage] += time.thread_time() - began  # type: ignore[assignment]

        return run

    @contextmanager
    def around(self, *places: tuple[type, str, str]) -> Iterator[None]:
        """Measure methods of classes while the block runs."""
        before = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
        for owner, name, stage in places:
            setattr(owner, name, self.timed(stage, getattr(owner, name)))
        try:
            yield
        finally:
            for owner, name, method in before:
                setattr(owner, name, method)


async def measure(spec: ModelSpec, streams: int, tokens: int, options: dict[str, Any]) -> dict[str, float]:
    """Microseconds per token by stage."""
    watch = Stopwatch()
    engine = ThreadEngine(spec)
    await engine.start()
    places = (
        (Scheduler, "schedule", "schedule"),
        (Batch, "fill", "build"),
        (LlamaRunner, "run", "step"),
        (Drawer, "draw", "sample"),
        (Scheduler, "apply", "detokenise"),
        (EngineLoop, "_send", "deliver"),
    )

    async def read(number: int) -> list[Delta]:
        prompt = ChatPrompt((Message(Role.USER, f"{number} Count from one to fifty."),))
        request = GenerateRequest("m", prompt, max_tokens=tokens, **options)
        return [delta async for delta in engine.submit(Work(f"w{number}", request))]

    try:
        await read(streams)
        with watch.around(*places):
            answers = await asyncio.gather(*(read(number) for number in range(streams)))
    finally:
        await engine.aclose()
    spent = watch.spent
    spent["decode"] = spent.pop("step") - spent["build"] - spent["sample"]
    deltas = [delta for answer in answers for delta in answer]
    write(watch, deltas, streams)
    said = sum(delta.usage.completion_tokens for delta in deltas if delta.usage is not None)
    return {stage: 1e6 * spent[stage] / said for stage in STAGES}


def write(watch: Stopwatch, deltas: list[Delta], streams: int) -> None:
    """Frame and encode what was said, a step's chunks at a time as the engine process does."""
    chunks = [Chunk("1", delta.text, delta.finish, delta.usage, part=delta.part) for delta in deltas]
    framed = watch.timed("frame", lambda step: chunk_frames([chunk_to_row(1, chunk) for chunk in step]))
    for begin in range(0, len(chunks), streams):
        framed(chunks[begin : begin + streams])
    encoder = ChunkEncoder(request_id="1", model="m", created=1, include_usage=False)
    encoded = watch.timed("encode", lambda delta: [frame(orjson.dumps(chunk)) for chunk in encoder.encode(delta)])
    for delta in deltas:
        encoded(delta)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--streams", type=int, default=8)
    options.add_argument("--tokens", type=int, default=64)
    options.add_argument("--json", action="store_true", help="figures as JSON, and nothing else")
    options.add_argument("--q4", action="store_true", help="the model of half a billion parameters instead of the demo")
    asked = options.parse_args()
    path = random_model() if asked.q4 else DEMO_MODEL_PATH
    spec = ModelSpec("m", str(path), n_ctx=4096, slots=asked.streams, threads=1)
    found = {name: asyncio.run(measure(spec, asked.streams, asked.tokens, kind)) for name, kind in KINDS.items()}
    if asked.json:
        print(json.dumps(found))
        return
    print(f"µs per token, {asked.streams} streams of {asked.tokens} tokens\n")
    print("| | " + " | ".join(STAGES) + " |\n|---|" + "---:|" * len(STAGES))
    for name, figures in found.items():
        print(f"| {name} | " + " | ".join(f"{figures[stage]:.1f}" for stage in STAGES) + " |")


if __name__ == "__main__":
    main()
