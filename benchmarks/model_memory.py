"""The memory that a model is predicted to take against what it takes, for shapes and settings of several kinds.

Each is loaded in a process of its own, through the runner that the engine uses; its context is filled and every slot
has drawn a token. What the process has grown by since it had loaded llama.cpp is what the model takes. Linux only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.interleave import table
from benchmarks.machine import MIB, memory
from benchmarks.random_model import Shape, random_model, write
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.memory import model_memory
from bodhi_asgi.engine.plan import Row, StepPlan
from bodhi_asgi.engine.process.plain import from_plain
from bodhi_asgi.engine.runner import make_runner
from bodhi_asgi.engine.self_test import self_test
from bodhi_asgi.engine.types import ModelSpec, Tuning
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

SMALL: Final = Shape(layers=4, width=512, inner=1536, heads=8, kv_heads=2, vocabulary=16_000, context=4096)
WIDE: Final = Shape(layers=4, width=1024, inner=2816, heads=16, kv_heads=16, vocabulary=16_000, context=8192)
MARGIN: Final = 0.1


@dataclass(frozen=True, slots=True)
class Measured:
    """MiB by which a process grew, and what was predicted."""

    name: str
    taken: float
    predicted: float

    @property
    def ratio(self) -> float:
        return self.predicted / self.taken


def measure(name: str, spec: ModelSpec) -> Measured:
    """Load ``spec`` in a process of its own and put it through its paces."""
    command = [sys.executable, "-m", "benchmarks.model_memory", "--child", json.dumps(asdict(spec))]
    done = subprocess.run(command, cwd=Path(__file__).parent.parent, capture_output=True, text=True, check=True)
    return Measured(name, float(done.stdout.split()[-1]), model_memory(Path(spec.path), spec).total_bytes / MIB)


def put_through_its_paces(spec: ModelSpec) -> float:
    """MiB by which this process grows when it loads and uses the model."""
    import os

    from bodhi_asgi.engine.runners import llama

    llama._initialise()
    before = memory(os.getpid()).rss
    runner = make_runner(spec)
    facts = runner.load(lambda _: True)
    self_test(runner, spec, facts)
    request = GenerateRequest(spec.name, TextPrompt("x"), Sampling(temperature=0.7))
    for slot in range(spec.slots):
        runner.begin(slot, request)
    room = facts.n_ctx - spec.slots
    end = 0
    while end < room:
        # The odd piece first, so that the last step is a whole one over the whole context.
        size = (room - end) % spec.n_batch or spec.n_batch
        runner.run(StepPlan((Row(0, 0, end, (5,) * size, wants_token=False),)))
        end += size
    rows = [Row(slot, slot, 0 if slot else end, (5,), wants_token=True) for slot in range(spec.slots)]
    runner.run(StepPlan(tuple(rows)))
    return memory(os.getpid()).rss - before


def cases(folder: Path, *, full: bool) -> Iterator[tuple[str, ModelSpec]]:
    """Names and what to load."""

    def spec(path: Path, **changes: Any) -> ModelSpec:
        return ModelSpec("m", str(path), threads=1, **{"n_ctx": 1024, "slots": 4, **changes})

    yield "demo model, 2,048 tokens, 8 slots", spec(DEMO_MODEL_PATH, n_ctx=2048, slots=8)
    small, wide = folder / "small.gguf", folder / "wide.gguf"
    write(small, SMALL, "Q8_0")
    yield "small, Q8_0", spec(small)
    yield "small, Q8_0, 16 slots, 4,096 tokens", spec(small, n_ctx=4096, slots=16)
    write(wide, WIDE, "Q4_0")
    yield "wide, Q4_0, read", spec(wide)
    yield "wide, Q4_0, mapped", spec(wide, tuning=Tuning(load_mode="mmap"))
    yield "wide, Q4_0, cache in Q8_0", spec(wide, n_ctx=2048, tuning=Tuning(cache_type_k="q8_0", cache_type_v="q8_0"))
    yield "wide, Q4_0, without flash attention", spec(wide, tuning=Tuning(flash_attention="off"))
    if full:
        yield "0.5B, Q4_0, 4,096 tokens", spec(random_model(), n_ctx=4096, slots=8)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--child", help=argparse.SUPPRESS)
    options.add_argument("--full", action="store_true", help="the 0.5B model too")
    asked = options.parse_args()
    if asked.child:
        print(put_through_its_paces(from_plain(ModelSpec, json.loads(asked.child))))
        return 0
    with tempfile.TemporaryDirectory() as folder:
        found = [measure(name, spec) for name, spec in cases(Path(folder), full=asked.full)]
    rows = [[one.name, f"{one.taken:.1f}", f"{one.predicted:.1f}", f"{one.ratio:.2f}"] for one in found]
    print(table(("", "taken, MiB", "predicted, MiB", "ratio"), rows))
    return 0 if all(abs(one.ratio - 1) <= MARGIN for one in found) else 1


if __name__ == "__main__":
    sys.exit(main())
