"""How long it takes to look through a cache of 500 models, and to list a page of 1,000 files.

The cache has huggingface_hub's layout, one small file a model. The first look reads every folder; a look at what has
not changed only asks each folder for its time of change. huggingface_hub's own scan_cache_dir reads the same cache in
the same rounds, for comparison. Pages are asked of SQLite in a file, past the pages that are kept.
"""

import argparse
import asyncio
import hashlib
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from huggingface_hub import scan_cache_dir

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFilesDescribed
from bodhi_asgi.shelf.listings import SETTLES_S
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.scan import Scanner
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.shelf.types import FileQuery

COMMIT: Final = "1" * 40
FIRST_LOOK_S: Final = 1.0
PAGE_P99_S: Final = 0.05


def write(cache: Path, models: int, files: int = 1) -> None:
    """``models`` repositories with ``files`` each."""
    for number in range(models):
        repo = cache / f"models--owner{number % 20}--model-{number}-GGUF"
        for folder in (repo / "blobs", repo / "snapshots" / COMMIT, repo / "refs"):
            folder.mkdir(parents=True)
        (repo / "refs" / "main").write_text(COMMIT)
        for file in range(files):
            content = b"GGUF %d %d" % (number, file)
            blob = repo / "blobs" / hashlib.sha256(content).hexdigest()
            blob.write_bytes(content)
            link = repo / "snapshots" / COMMIT / f"model-{number}-Q{file + 2}_K.gguf"
            link.symlink_to(Path("..", "..", "blobs", blob.name))


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def looks(cache: Path, rounds: int) -> float:
    """Print what looks take; the median of the first."""
    firsts = []
    for _ in range(rounds):
        scanner = Scanner(places(cache, []), SystemClock())
        firsts.append(seconds(scanner.look))
        again = seconds(scanner.look)
        time.sleep(SETTLES_S)
        scanner.look()
        settled = seconds(scanner.look)
        still = min(seconds(scanner.is_still) for _ in range(5))
        peer = seconds(lambda: scan_cache_dir(cache))
        print(
            f"first {firsts[-1] * 1000:7.1f} ms   again {again * 1000:7.1f} ms   settled {settled * 1000:7.1f} ms   "
            f"nothing changed {still * 1000:7.1f} ms   scan_cache_dir {peer * 1000:7.1f} ms"
        )
    return statistics.median(firsts)


async def pages(cache: Path, database_url: str, asked: int) -> float:
    """Print what pages take; the 99th percentile."""
    clock, caller, events = SystemClock(), Caller.system(), EventBus()
    database = Database(database_url)
    await database.open()
    await database.migrate("auto")
    shelf = ShelfService(
        places(cache, []),
        database=database,
        audit=AuditService(database=database, clock=clock),
        events=events,
        clock=clock,
        watch_s=3600,
        capable=lambda *_: (),
    )
    shelf.start()
    took = []
    try:
        total = (await shelf.list(caller)).total
        with events.subscribe(ModelFilesDescribed) as described:
            while await shelf.queue_status(caller) != "idle":
                await anext(described)
        for number in range(asked):
            # No two questions are the same, so that none is answered from memory.
            query = FileQuery(page=1 + number % max(1, total // 30), sort=("repo", "size")[number % 2], size_min=number)
            began = time.perf_counter()
            await shelf.list(caller, query)
            took.append(time.perf_counter() - began)
        kept = []
        for _ in range(asked):
            began = time.perf_counter()
            await shelf.list(caller)
            kept.append(time.perf_counter() - began)
    finally:
        await shelf.aclose()
        await database.close()
    took.sort()
    p99 = took[min(len(took) - 1, len(took) * 99 // 100)]
    print(
        f"{total} files: a page {statistics.median(took) * 1000:.2f} ms, p99 {p99 * 1000:.2f} ms; "
        f"one that is kept {statistics.median(kept) * 1e6:.0f} µs"
    )
    return p99


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--models", type=int, default=500)
    options.add_argument("--pages", type=int, default=500)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        one, two = Path(folder) / "one", Path(folder) / "two"
        write(one, asked.models)
        write(two, asked.models, files=2)
        first = looks(one, asked.rounds)
        p99 = asyncio.run(pages(two, f"sqlite:///{folder}/bench.db", asked.pages))
    is_fine = first <= FIRST_LOOK_S and p99 <= PAGE_P99_S
    print(f"{'pass' if is_fine else 'MISS'}: first look {first:.3f} s, p99 of a page {p99 * 1000:.1f} ms")
    return 0 if is_fine else 1


if __name__ == "__main__":
    sys.exit(main())
