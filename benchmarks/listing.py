"""How long a list of all models takes: 1,000 aliases, and 1,000 files in a cache, in a database of SQLite.

Asked as the facade is, page by page in turn with filters and a search, and as OpenAI's clients do, all at once. The
server is warm: files are found and their headers read. What counts is the 99th percentile.
"""

import argparse
import asyncio
import random
import statistics
import struct
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

from bodhi_asgi import BodhiServer, Caller
from bodhi_asgi.events.types import ModelFilesDescribed

REVISION: Final = "2" * 40
WORDS: Final = ("amber", "birch", "cedar", "delta", "ember", "fjord", "grove", "haven")
QUERIES: Final[tuple[dict[str, Any], ...]] = (
    {},
    {"page": 20},
    {"sort": "repo", "sort_order": "desc"},
    {"type": "model_alias", "page_size": 100},
    {"search": "cedar"},
    {"size_min": 10, "size_max": 10_000},
)


def fill(cache: Path, files: int) -> None:
    """A cache of repositories with one small file each."""
    key, value = b"general.architecture", b"llama"
    header = struct.pack("<4sIQQ", b"GGUF", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    header += struct.pack("<IQ", 8, len(value)) + value
    for number in range(files):
        folder = cache / f"models--owner--{WORDS[number % len(WORDS)]}-{number:04}" / "snapshots" / REVISION
        folder.mkdir(parents=True)
        (folder / f"model-{number:04}-Q4_K_M.gguf").write_bytes(header + bytes(number))


async def measured(ask: Callable[[], Awaitable[object]], times: int) -> list[float]:
    found = []
    for _ in range(times):
        began = time.perf_counter()
        await ask()
        found.append(1000 * (time.perf_counter() - began))
    return found


def told(name: str, found: list[float]) -> None:
    ordered = sorted(found)
    last = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    print(f"{name:<44} median {statistics.median(ordered):7.2f} ms   p99 {last:7.2f} ms")


async def run(aliases: int, files: int, times: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder / "hub", files)
        settings: dict[str, Any] = {"hub": {"cache_dir": folder / "hub"}, "engine": {"runner": "echo"}}
        async with BodhiServer(data_dir=folder / "data", **settings) as server:
            bodhi = server.as_caller(Caller.system())
            with server.services.events.subscribe(ModelFilesDescribed) as described:
                while await server.services.shelf.queue_status(Caller.system()) == "processing":
                    await anext(described)
            places = [model for model in await server.services.shelf.files() if not model.problem]
            for number in range(aliases):
                file = random.Random(number).choice(places)
                alias = f"{WORDS[number % len(WORDS)]}/{number:04}"
                place = {"repo": file.repo, "filename": file.filename, "snapshot": file.snapshot}
                await bodhi.aliases.create({"alias": alias, **place})
            for query in QUERIES:
                words = " ".join(f"{key}={value}" for key, value in query.items()) or "first page"
                await bodhi.aliases.list(**query)
                told(f"/bodhi/v1/models {words}", await measured(partial(bodhi.aliases.list, **query), times))
            told("/v1/models", await measured(bodhi.list_models, max(1, times // 10)))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--aliases", type=int, default=1000)
    options.add_argument("--files", type=int, default=1000)
    options.add_argument("--times", type=int, default=300)
    asked = options.parse_args()
    asyncio.run(run(asked.aliases, asked.files, asked.times))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
