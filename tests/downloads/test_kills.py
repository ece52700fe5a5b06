"""Killed again and again, a whole server brings its download to the end: nothing is wrong, and little comes twice.

``SOAK=1`` kills a dozen times.
"""

import asyncio
import hashlib
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir, try_to_load_from_cache

from bodhi_asgi import BodhiServer
from tests.hub.server import Fault, Hub
from tests.servers import ROOT

KILLS = 12 if os.environ.get("SOAK") else 4
SIZE = 32 * 1024 * 1024
MAX_TWICE = 0.01
REPO, NAME = "owner/model-GGUF", "model-Q8_0.gguf"
LEASE_S = 10


@pytest.mark.timeout(300)
async def test_a_server_that_is_killed_again_and_again_ends_its_download(
    hub: Hub, settings: dict[str, object], tmp_path: Path
) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print("seed", seed)
    chance = random.Random(seed)
    data = chance.randbytes(SIZE)
    hub.add(REPO, {NAME: data})
    cache = tmp_path / "cache"
    part = cache / "models--owner--model-GGUF" / "blobs" / f"{hashlib.sha256(data).hexdigest()}.bodhi.part"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.downloads.pulling_script", cwd=ROOT, env=environment, stdin=PIPE, stdout=PIPE
    )
    assert process.stdin is not None
    assert process.stdout is not None
    received: list[int] = []
    for life in range(KILLS + 1):
        reached = asyncio.Event()
        if life < KILLS:
            rest = SIZE - (part.stat().st_size if part.exists() else 0)
            at = chance.randrange(rest // (KILLS + 1 - life)) + 1
            hub.fault("cdn", Fault(call_at=at, hook=reached.set, pause_s=0.001))
        line = json.dumps([settings, f"{REPO}:Q8_0", life * LEASE_S], default=str)
        process.stdin.write(line.encode() + b"\n")
        child = int(await process.stdout.readline())
        if life < KILLS:
            await reached.wait()
            os.kill(child, signal.SIGKILL)
            assert try_to_load_from_cache(REPO, NAME, cache_dir=cache) is None
        assert int(await process.stdout.readline()) == (-signal.SIGKILL if life < KILLS else 0)
        received.append(int(Path(f"{cache}.received").read_text() or "0"))
    process.stdin.close()
    assert await process.wait() == 0
    found = try_to_load_from_cache(REPO, NAME, cache_dir=cache)
    assert isinstance(found, str)
    assert hashlib.sha256(Path(found).read_bytes()).digest() == hashlib.sha256(data).digest()
    assert not part.exists()
    begins = [seen.begin for seen in hub.requests("cdn")]
    assert len(begins) == KILLS + 1
    twice = [begun + came - resumed for begun, came, resumed in zip(begins, received, begins[1:], strict=False)]
    print(f"at most {max(twice) / SIZE:.2%} of the file came twice for one kill, {sum(twice) / SIZE:.2%} for all")
    assert max(twice) <= MAX_TWICE * SIZE
    report = scan_cache_dir(cache)
    assert (report.warnings, report.size_on_disk) == ([], SIZE)
    async with BodhiServer(**settings, downloads={"parallel": 0}) as server:  # type: ignore[arg-type]
        (row,) = (await server.downloads.list()).data
        assert (row.state, row.downloaded_bytes, row.error) == ("completed", SIZE, None)
