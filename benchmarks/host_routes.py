"""What a host's own routes notice of us: without us, with us mounted and idle, and while we generate on eight streams.

The host without us stands there twice, so that what two runs of the same thing differ by is known. On a machine with
few cores an answer that is generated takes one of them from the host, whoever generates it: with ``--beside``
llama-server does, in a process that the host knows nothing of. What a request costs is also told without a server,
where microseconds can be seen.
"""

import asyncio
import itertools
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.interleave import Contender, Figures, Outcome, Report, compared, interleave, limits, parser, spread
from benchmarks.load import question
from benchmarks.machine import cpu_s
from benchmarks.mount_cost import mount_cost
from benchmarks.peers import LLAMA_SERVER, STARTS, HttpPeer, Task, free_port, new_token, process
from bodhi_asgi.demo_model import DEMO_MODEL_PATH

ABSENT = "without us"
AGAIN = "without us, again"
IDLE = "mounted, idle"
BUSY = "generating on 8 streams"
BESIDE = "without us, llama-server generating"

RATE = "requests/s"
P99 = "p99, ms"
CPU = "server CPU, µs/request"
START = "start, s"

CONNECTIONS = 8
STREAMS = 8
TOKENS = 200
WARM_UP = 300
SECONDS = 2.0
FULL_SECONDS = 10.0
REQUEST = b"GET /who HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
WITHIN = 0.2
"""How much slower the host may be while we generate."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A contender: the host it starts, how many streams run, and whether another server than the host has them."""

    app: str
    streams: int = 0
    is_beside: bool = False


KINDS = {
    ABSENT: Kind("own_routes"),
    AGAIN: Kind("own_routes"),
    IDLE: Kind("own_routes_with_bodhi"),
    BUSY: Kind("own_routes_with_bodhi", STREAMS),
    BESIDE: Kind("own_routes", STREAMS, is_beside=True),
}


async def connection(port: int, until: float, times_s: list[float], most: int = sys.maxsize) -> None:
    """One request after the other on one connection, until a time of perf_counter or ``most`` of them."""
    reading, writing = await asyncio.open_connection("127.0.0.1", port)
    try:
        for _ in itertools.takewhile(lambda _: time.perf_counter() < until, range(most)):
            began = time.perf_counter()
            writing.write(REQUEST)
            head = await reading.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200"), head
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
            await reading.readexactly(int(length.partition(b":")[2]))
            times_s.append(time.perf_counter() - began)
    finally:
        writing.close()


@asynccontextmanager
async def streaming(peer: HttpPeer, streams: int) -> AsyncIterator[None]:
    """So many readers of answers beside, each asking anew when its answer has ended."""
    if streams:
        await asyncio.gather(*(peer.ask(question(), 1) for _ in range(streams)))  # the model is loaded

    async def read() -> None:
        while True:
            await peer.ask(question(), TOKENS)

    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(read()) for _ in range(streams)]
        yield
        for reader in readers:
            reader.cancel()


async def measured(kind: Kind, seconds: float) -> Figures:
    """Start the host, warm it up, and ask its own route on all connections for ``seconds``."""
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        headers, port = new_token(Path(folder)) if kind.streams and not kind.is_beside else {}, free_port()
        command = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.hosts:{kind.app}", "--port", str(port)]
        command += ["--log-level", "warning", "--no-access-log"]
        environment = {"DATA_DIR": folder, "DEMO": "false", "MODELS": f'{{"bench": "{DEMO_MODEL_PATH}"}}'}
        environment |= {"ENGINE__THREADS": "1", "ENGINE__SLOTS": "16", "ENGINE__LINGER_S": "0"}
        settings = {f"BODHI_{name}": value for name, value in environment.items()}
        async with process(command, port=port, ready="/who", **settings) as launched:
            started_s = time.perf_counter() - launched.at
            peer = HttpPeer(port, "bench", launched, headers, prefix="/bodhi")
            await connection(port, sys.maxsize, [], WARM_UP)
            async with AsyncExitStack() as stack:
                if kind.is_beside:
                    peer = await stack.enter_async_context(STARTS[LLAMA_SERVER](Task("bench", DEMO_MODEL_PATH)))
                await stack.enter_async_context(streaming(peer, kind.streams))
                return await _asked(port, launched.pid, seconds) | {START: started_s}


async def _asked(port: int, pid: int, seconds: float) -> dict[str, float]:
    times_s: list[float] = []
    used, began = cpu_s({pid}), time.perf_counter()
    await asyncio.gather(*(connection(port, began + seconds, times_s) for _ in range(CONNECTIONS)))
    elapsed = time.perf_counter() - began
    count = len(times_s)
    times_s.sort()
    return {
        RATE: count / elapsed,
        "p50, ms": times_s[count // 2] * 1000,
        P99: times_s[min(count - 1, count * 99 // 100)] * 1000,
        CPU: (cpu_s({pid}) - used) / count * 1e6,
    }


def told(outcome: Outcome) -> str:
    """What the rounds say of us: inside what the same thing differs by or not, and what each part costs."""
    if not outcome.rounds:
        return ""
    lines = []
    for figure, is_better_when_more in ((RATE, True), (P99, False)):
        low, high = _apart(outcome, figure)
        idle, busy = outcome.ratio(IDLE, ABSENT, figure), outcome.ratio(BUSY, ABSENT, figure)
        is_inside = idle.median >= low if is_better_when_more else idle.median <= high
        is_within = busy.median >= 1 - WITHIN if is_better_when_more else busy.median <= 1 + WITHIN
        lines.append(f"{_word(is_inside)}: idle {idle} of the {figure}; the same twice {low:.3g} to {high:.3g}")
        lines.append(f"{_word(is_within)}: generating {busy} of the {figure}")
        if BESIDE in outcome.rounds[0]:
            lines.append(f"generating {outcome.ratio(BUSY, BESIDE, figure)} of the {figure} beside llama-server")
    for figure, unit in ((CPU, "µs of the server's processor for each request"), (START, "s to the start")):
        added = spread([figures[IDLE][figure] - figures[ABSENT][figure] for figures in outcome.rounds])
        lines.append(f"mounted, we add {added} {unit}")
    return "\n".join(lines)


def _apart(outcome: Outcome, figure: str) -> tuple[float, float]:
    """The least and the most that a figure of one run of the same thing was of another's."""
    ratios = [figures[AGAIN][figure] / figures[ABSENT][figure] for figures in outcome.rounds]
    both = [*ratios, *(1 / ratio for ratio in ratios)]
    return min(both), max(both)


def _word(is_good: bool) -> str:
    return "pass" if is_good else "MISS"


async def main() -> None:
    options = parser("A host's own routes, without and with us.", rounds=2, full_rounds=9)
    options.add_argument("--seconds", type=float, default=None, help="how long each turn asks")
    options.add_argument("--beside", action="store_true", help="also have llama-server generate beside the host")
    asked = options.parse_args()
    seconds = asked.seconds or (FULL_SECONDS if asked.full else SECONDS)
    report = Report(as_json=asked.json)
    kinds = {name: kind for name, kind in KINDS.items() if asked.beside or not kind.is_beside}
    contenders = [Contender(name, partial(measured, kind, seconds)) for name, kind in kinds.items()]
    outcome = await interleave(contenders, limits(asked))
    report.add("a host's own routes", outcome, f"{compared(outcome, ABSENT, RATE)}\n\n{told(outcome)}")
    report.add("a request, called directly", *await mount_cost(limits(asked)))
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
