"""What a host holds in memory with 1 and with 4 uvicorn workers: without us, with our engine's process, with threads.

With the process all workers share one engine; with threads each worker loads the model. PSS counts what processes share
once, so only PSS may be added up.
"""

import asyncio
import json
import sys
import tempfile
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.interleave import Report, parser, table
from benchmarks.machine import Memory, command_line, family_of, memory
from benchmarks.peers import free_port, process
from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH

TRIES = 4000


@dataclass(frozen=True, slots=True)
class Host:
    """One way to run the host."""

    name: str
    app: str
    isolation: str = "process"


HOSTS = (
    Host("host alone", "plain"),
    Host("engine process", "with_bodhi"),
    Host("engine thread", "with_bodhi", "thread"),
)


def asked_pid(port: int) -> int:
    """Ask the host once over a connection of its own; the pid of the worker that answered."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/ask", timeout=120) as response:
        return int(json.loads(response.read())["pid"])


def every_worker(port: int, workers: int) -> set[int]:
    """Ask until every worker has answered."""
    seen: set[int] = set()
    for _ in range(TRIES):
        seen.add(asked_pid(port))
        if len(seen) == workers:
            return seen
    raise RuntimeError(f"only {len(seen)} of {workers} workers answered in {TRIES} requests")


async def measure(host: Host, model: Path, workers: int) -> tuple[list[Memory], list[Memory]]:
    """The memory of each worker and of each engine process, after every worker has had an answer."""
    port = free_port()
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        command = [sys.executable, "-m", "uvicorn", "--factory", f"benchmarks.hosts:{host.app}", "--port", str(port)]
        command += ["--workers", str(workers), "--log-level", "warning"]
        settings = {"BODHI_DATA_DIR": folder, "BODHI_DEMO": "false", "BODHI_MODELS": f"bench={model}"}
        engine = {"ISOLATION": host.isolation, "N_CTX": "2048", "THREADS": "1", "LINGER_S": "0"}
        settings |= {f"BODHI_ENGINE__{name}": value for name, value in engine.items()}
        async with process(command, port=port, ready="/ask", **settings) as launched:
            pids = await asyncio.to_thread(every_worker, port, workers)
            engines = [pid for pid in family_of(launched.pid) if "bodhi_asgi.engine" in command_line(pid)]
            return [memory(pid) for pid in sorted(pids)], [memory(pid) for pid in engines]


def row(name: str, workers: Sequence[Memory], engines: Sequence[Memory]) -> list[str]:
    host = sum(each.pss for each in workers)
    model = sum(each.pss for each in engines)
    largest = max(each.rss for each in workers)
    cells = (largest, host / len(workers), model, host + model)
    return [name, str(len(workers)), str(len(engines)), *(f"{mib:.0f}" for mib in cells)]


async def main() -> None:
    asked = parser("Memory of a host with 1 and 4 workers.", rounds=1, full_rounds=1).parse_args()
    report = Report(as_json=asked.json)
    models = {"tiny": DEMO_MODEL_PATH, **({"q4": random_model()} if asked.full else {})}
    head = ("", "workers", "engines", "worker RSS", "worker PSS", "engines' PSS", "all PSS")
    for model, path in models.items():
        rows = [row(host.name, *await measure(host, path, workers)) for host in HOSTS for workers in (1, 4)]
        found = {
            f"{name}, {workers} workers": dict(zip(head[2:], map(float, cells), strict=True))
            for name, workers, *cells in rows
        }
        report.add(f"memory in MiB, {model}", found, table(head, rows))
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
