"""Killed at any byte, a fetch goes on where it was: nothing is wrong, little comes twice, nothing is seen early.

``SOAK=1`` kills 500 times, as the promise says.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from tests.hub.server import Fault, Hub
from tests.servers import ROOT

SOAK = bool(os.environ.get("SOAK"))
KILLS = 500 if SOAK else 25
IN_A_ROW = 25
"""Kills of one file before it is let through."""
SIZE = 64 * 1024 * 1024
MAX_TWICE = 0.01


class Fetching:
    """Processes that fetch, one after the other."""

    def __init__(self, process: asyncio.subprocess.Process, endpoint: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin, process.stdout
        self._endpoint = endpoint

    async def begin(self, cache: Path) -> int:
        self._in.write(json.dumps([self._endpoint, "owner/model", "model.gguf", str(cache)]).encode() + b"\n")
        return await self.number()

    async def number(self) -> int:
        """A process's id when it has begun, and its exit status when it has ended."""
        return int(await self._out.readline())


@pytest.fixture
async def fetching(endpoint: str) -> AsyncIterator[Fetching]:
    script = ROOT / "tests" / "hub" / "fetching_script.py"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE
    )
    yield Fetching(process, endpoint)
    assert process.stdin is not None
    process.stdin.close()
    assert await process.wait() == 0


async def kill_at(hub: Hub, fetching: Fetching, cache: Path, at: int) -> None:
    """Begin a fetch, and kill its process when so many bytes of its request have been sent."""
    reached = asyncio.Event()
    hub.fault("cdn", Fault(call_at=at, hook=reached.set, pause_s=0.001))
    process = await fetching.begin(cache)
    await reached.wait()
    os.kill(process, signal.SIGKILL)
    assert await fetching.number() == -signal.SIGKILL


@pytest.mark.timeout(3600 if SOAK else 120)
async def test_killed_at_any_byte_a_fetch_goes_on_where_it_was(hub: Hub, fetching: Fetching, tmp_path: Path) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    worst = 0.0
    for round_ in range(KILLS // IN_A_ROW):
        data = chance.randbytes(SIZE)
        hub.add("owner/model", {"model.gguf": data})
        cache = tmp_path / str(round_)
        part = cache / "models--owner--model" / "blobs" / f"{hashlib.sha256(data).hexdigest()}.bodhi.part"
        received = []
        hub.seen.clear()
        for kill in range(IN_A_ROW):
            rest = SIZE - (part.stat().st_size if part.exists() else 0)
            await kill_at(hub, fetching, cache, chance.randrange(rest // (IN_A_ROW + 1 - kill)) + 1)
            assert try_to_load_from_cache("owner/model", "model.gguf", cache_dir=cache) is None
            received.append(int(Path(f"{cache}.received").read_text() or "0"))
        await fetching.begin(cache)
        assert await fetching.number() == 0
        found = try_to_load_from_cache("owner/model", "model.gguf", cache_dir=cache)
        assert isinstance(found, str)
        assert Path(found).read_bytes() == data
        assert not part.exists()
        begins = [seen.begin for seen in hub.requests("cdn")]
        assert len(begins) == IN_A_ROW + 1
        for begun, came, resumed in zip(begins, received, begins[1:], strict=False):
            worst = max(worst, (begun + came - resumed) / SIZE)
        report = await asyncio.to_thread(scan_cache_dir, cache)
        assert (report.warnings, report.size_on_disk) == ([], SIZE)
    print(f"at most {worst:.2%} of the file came twice for one kill")
    assert worst <= MAX_TWICE
