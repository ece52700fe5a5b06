"""How quickly a file of the hub is in the cache: ours proves every byte and brings it to the disk, huggingface_hub
does neither; so what it takes with the file brought to the disk afterwards is measured beside.

Both fetch the same file from the same hub on the loopback interface, which runs in a process of its own and sends
large files from a second server, as the real one does. They take turns; the median of the rounds counts.
"""

import argparse
import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
MIB: Final = 1024 * 1024
REPO: Final = "owner/model"
NAME: Final = "model.gguf"


async def serve(file: Path) -> None:
    """Serve ``file`` until standard input ends; the address is printed."""
    from tests.hub.server import Hub, serving_hub

    hub = Hub()
    hub.add(REPO, {NAME: file})
    async with serving_hub(hub) as endpoint:
        print(endpoint, flush=True)
        await asyncio.to_thread(sys.stdin.read)


def ours(endpoint: str, cache: Path) -> Path:
    from bodhi_asgi.hub.access import HubAccess
    from bodhi_asgi.hub.service import HubService
    from bodhi_asgi.hub.types import HubFile

    async def fetch() -> Path:
        service = HubService(access=HubAccess(endpoint), cache=cache)
        try:
            return (await service.fetch(HubFile(REPO, NAME))).path
        finally:
            await service.aclose()

    return asyncio.run(fetch())


def theirs(endpoint: str, cache: Path) -> Path:
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(REPO, NAME, endpoint=endpoint, cache_dir=cache, token=False))


def theirs_to_disk(endpoint: str, cache: Path) -> Path:
    path = theirs(endpoint, cache)
    with path.open("rb") as file:
        os.fsync(file.fileno())
    return path


FETCHES: Final = {"bodhi": ours, "huggingface_hub": theirs, "huggingface_hub, to disk": theirs_to_disk}


def seconds(fetch: Callable[[str, Path], Path], endpoint: str, folder: Path, size: int) -> float:
    """Seconds of one download into an empty cache."""
    cache = folder / "cache"
    began = time.perf_counter()
    path = fetch(endpoint, cache)
    took = time.perf_counter() - began
    assert path.stat().st_size == size
    shutil.rmtree(cache)
    return took


def measure(size: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round, after one that counts for nobody."""
    with tempfile.TemporaryDirectory(prefix="bodhi-download-") as name:
        folder = Path(name)
        source = folder / "source.gguf"
        with source.open("wb") as file:
            for begin in range(0, size, MIB):
                file.write(os.urandom(min(MIB, size - begin)))
        command = [sys.executable, "-m", "benchmarks.download", "--serve", str(source)]
        with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            endpoint = server.stdout.readline().strip()
            took: dict[str, list[float]] = {peer: [] for peer in FETCHES}
            for round_ in range(rounds + 1):
                for peer, fetch in FETCHES.items():
                    spent = seconds(fetch, endpoint, folder, size)
                    if round_:
                        took[peer].append(spent)
            assert server.stdin is not None
            server.stdin.close()
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=512, help="size of the file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true", help="print seconds of every round as JSON")
    parser.add_argument("--serve", type=Path, help="serve this file instead; used by the benchmark itself")
    options = parser.parse_args()
    if options.serve:
        asyncio.run(serve(options.serve))
        return
    os.environ["HF_HUB_DISABLE_PROGRESS_BARS"] = os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    took = measure(options.mib * MIB, options.rounds)
    if options.json:
        print(json.dumps(took))
        return
    speeds = {peer: options.mib / statistics.median(spent) for peer, spent in took.items()}
    for peer, speed in speeds.items():
        print(f"{peer:25} {speed:6.0f} MiB/s, bodhi / this {speeds['bodhi'] / speed:5.2f}")


if __name__ == "__main__":
    main()
