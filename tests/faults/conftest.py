"""A host in processes of its own, with its data and the meeting place of its engines below one short directory."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from tests.faults.engines import becomes_true, holders
from tests.servers import Spawned, spawned

AS_ANN = {"x-user": "ann"}
RUNNING = r"(?:running on|Listening at:) (http://127\.0\.0\.1:\d+)"

Host = Callable[..., AbstractAsyncContextManager[tuple[Spawned, httpx2.AsyncClient]]]


@pytest.fixture
def root() -> Iterator[Path]:
    """Everything a host leaves on disk; short, for sockets."""
    path = Path(tempfile.mkdtemp(prefix="bf-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
async def host(root: Path) -> AsyncIterator[Host]:
    """Start the sample host under a server. Whatever a test did, no engine is left ten seconds after it."""

    @asynccontextmanager
    async def start(*options: str, server: str = "uvicorn") -> AsyncIterator[tuple[Spawned, httpx2.AsyncClient]]:
        command = [sys.executable, "-m", server, "tests.faults.sample_host:app", *options]
        environment = {"SAMPLE_FOLDER": str(root / "data"), "XDG_RUNTIME_DIR": str(root), "PYTHONUNBUFFERED": "1"}
        async with spawned(command, environment) as process:
            base = await process.until(RUNNING)
            async with httpx2.AsyncClient(base_url=base, timeout=60, headers=AS_ANN) as client:
                await is_listening(client)
                yield process, client

    yield start
    await becomes_true(lambda: not holders(root), within_s=10)


async def is_listening(client: httpx2.AsyncClient) -> None:
    """Return once the address is served: a server of several workers tells it before they listen."""
    async with asyncio.timeout(30):
        while True:
            try:
                await client.get("/")
            except httpx2.ConnectError:
                await asyncio.sleep(0.05)
            else:
                return
