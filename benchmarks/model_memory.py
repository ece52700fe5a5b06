"""The memory that a model is predicted to take against what it takes, for shapes and settings of several kinds.

Each is loaded in a process of its own, through the runner that the engine uses; its context is filled and every slot
has drawn a token. What the process has grown by since it had loaded llama.cpp is what the model takes: memory that it
asked for, and pages of the model's files, but not those of libraries, which come in as they are first used. Linux only.
"""

import argparse
import base64
import ctypes
import gc
import json
import os
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

from benchmarks.interleave import table
from benchmarks.machine import MIB
from benchmarks.random_model import Shape, random_model, write
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.budget import needed_bytes
from bodhi_asgi.engine.drafts import Wanted
from bodhi_asgi.engine.memory import model_memory, projector_memory
from bodhi_asgi.engine.plan import Row, StepPlan
from bodhi_asgi.engine.pooled_plan import Passage, PooledPlan
from bodhi_asgi.engine.process.plain import from_plain
from bodhi_asgi.engine.runner import Runner, make_runner
from bodhi_asgi.engine.self_test import self_test
from bodhi_asgi.engine.types import ModelFacts, ModelSpec, Tuning
from bodhi_asgi.gguf.reader import read_header
from bodhi_asgi.gguf.sight import sight_of
from bodhi_asgi.messages.conversation import IMAGE_MARK, ChatPrompt, Image, Message, Role, TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

SMALL: Final = Shape(layers=4, width=512, inner=1536, heads=8, kv_heads=2, vocabulary=16_000, context=4096)
WIDE: Final = Shape(layers=4, width=1024, inner=2816, heads=16, kv_heads=16, vocabulary=16_000, context=8192)
LIBC: Final = ctypes.CDLL(None)
MARGIN: Final = 0.1
PR_SET_THP_DISABLE: Final = 41
"""Of ``prctl(2)``."""


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
    """Load ``spec`` in a process of its own and put it through its paces.

    Up to three times: what a process has beyond the model's memory, for whatever reason, only ever adds to it. What is
    reserved for conversations and pictures that rest is left out on both sides, because it fills only as they come.
    """
    spec = replace(spec, prefix_memory_bytes=0)
    found = _measured(name, spec)
    for _ in range(2):
        if abs(found.ratio - 1) <= MARGIN:
            break
        found = min(found, _measured(name, spec), key=lambda one: one.taken)
    return found


def _measured(name: str, spec: ModelSpec) -> Measured:
    command = [sys.executable, "-m", "benchmarks.model_memory", "--child", json.dumps(asdict(spec))]
    # A tracer would keep its notes in the very memory that is measured.
    plain = {key: value for key, value in os.environ.items() if not key.startswith(("COVERAGE_", "COV_CORE_"))}
    root = Path(__file__).parent.parent
    done = subprocess.run(command, cwd=root, env=plain, capture_output=True, text=True, check=True)
    return Measured(name, float(done.stdout.split()[-1]), (needed_bytes(spec) - resting_bytes(spec)) / MIB)


def resting_bytes(spec: ModelSpec) -> int:
    """What of the prediction is for pictures that have been looked at."""
    if not spec.projector:
        return 0
    n_ctx = model_memory(Path(spec.path), spec).context_tokens
    return projector_memory(Path(spec.projector), n_ctx).resting_bytes


def put_through_its_paces(spec: ModelSpec) -> float:
    """MiB by which this process grows when it loads and uses the model."""
    from bodhi_asgi.engine.runners.llama_library import initialise

    initialise()
    never_in_huge_pages()
    needed_bytes(spec)  # what it takes to look at the files comes and goes, and is not what the model takes
    before = own(spec)
    runner = make_runner(spec)
    facts = runner.load(lambda _: True)
    self_test(runner, spec, facts)
    seen = see(runner, spec, facts.n_ctx, own(spec) - before) if spec.projector else 0.0
    if facts.generates:
        speak(runner, spec, facts.n_ctx)
    else:
        read(runner, spec, facts)
    return max(own(spec) - before, seen)


def see(runner: Runner, spec: ModelSpec, n_ctx: int, taken: float) -> float:
    """MiB that the largest picture takes at most while it is looked at, beside what was ``taken`` before."""
    sight = sight_of(read_header(Path(spec.projector)))
    side = sight.patch * sight.merged * int((sight.patches(n_ctx) / sight.merged**2) ** 0.5)
    image = Image(base64.b64encode(grey(side)).decode())
    prompt = ChatPrompt((Message(Role.USER, IMAGE_MARK),), images=(image,))
    Path("/proc/self/clear_refs").write_text("5")  # the most that was ever resident is what is resident now
    resident = status("VmRSS")
    runner.look("m", GenerateRequest(spec.name, prompt))
    return taken + status("VmHWM") - resident


def status(name: str) -> float:
    """A line of this process's status, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(f"{name}:")).split()[1]) / 1024


def grey(side: int) -> bytes:
    """A PNG file of so many pixels each way."""
    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = (b"\0" + b"\x80" * 3 * side) * side
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )


def speak(runner: Runner, spec: ModelSpec, n_ctx: int) -> None:
    """Fill the context, and draw a token in every slot, with all adapters in force and, where it has one, guesses."""
    request = GenerateRequest(spec.name, TextPrompt("x"), Sampling(temperature=0.7))
    adapters = tuple((index, 1.0) for index in range(len(spec.adapters)))
    for slot in range(spec.slots):
        runner.begin(slot, request)
    room = n_ctx - spec.slots
    end = 0
    while end < room:
        # The odd piece first, so that the last step is a whole one over the whole context.
        size = (room - end) % spec.n_batch or spec.n_batch
        runner.run(StepPlan((Row(0, 0, end, (5,) * size, wants_token=False),), (), adapters))
        end += size
    rows = [Row(slot, slot, 0 if slot else end, (5,), wants_token=True) for slot in range(spec.slots)]
    runner.run(StepPlan(tuple(rows), (), adapters))
    drafter = runner.drafter()
    if drafter is not None:
        drafter.draft([Wanted(0, [5] * room, 2)])


def read(runner: Runner, spec: ModelSpec, facts: ModelFacts) -> None:
    """Read the longest text there may be."""
    longest = facts.longest_text
    piece = spec.n_batch if facts.reads_in_pieces else longest
    for begin in range(0, longest, piece):
        tokens = (5,) * min(piece, longest - begin)
        runner.pool(PooledPlan((Passage(0, begin, tokens, longest),), facts.ranks))


def own(spec: ModelSpec) -> float:
    """MiB that this process has for itself or of the files of ``spec``."""
    gc.collect()
    LIBC.malloc_trim(0)  # what was freed and kept for the next that asks
    files = {path for path in (spec.path, spec.projector, spec.speculation.path) if path}
    files |= {adapter.path for adapter in spec.adapters}
    total_kib = 0
    of_model = False
    for line in Path("/proc/self/smaps").read_text().splitlines():
        name, *values = line.split()
        if not name.endswith(":"):
            of_model = line.partition("/")[1] + line.partition("/")[2] in files
        elif name == ("Rss:" if of_model else "Anonymous:"):
            total_kib += int(values[0])
    return total_kib / 1024


def never_in_huge_pages() -> None:
    """Where the system hands out 2 MiB for the first byte of them, what is never written to would count."""
    LIBC.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)


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
