"""What arrives comes to the disk while more arrives: only the end waits for that, and no failure of it is lost."""

import asyncio
import errno
import os
import random
import stat
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bodhi_asgi.hub import flush
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import CacheNotWritable
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import HubFile
from tests.hub.server import Fault, Hub

WEIGHTS = random.Random(9).randbytes(2_000_000)
FILE = HubFile("owner/model", "model.gguf")
BLOBS = Path("models--owner--model") / "blobs"


class Disk:
    """The system's fsync of files: when each began and with how many bytes, held up and failing as a test says."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.sizes: list[int] = []
        self.names: list[set[str]] = []
        self.at_once = self.most_at_once = 0
        self.failing: set[int] = set()
        self.is_open = threading.Event()
        self.is_open.set()
        self._sync = os.fsync

    def fsync(self, fd: int) -> None:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            self._sync(fd)
            return
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        number = len(self.sizes)
        self.sizes.append(os.fstat(fd).st_size)
        self.names.append({path.name for path in self._folder.iterdir()})
        self.is_open.wait()
        self.at_once -= 1
        if number in self.failing:
            raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Disk:
    """Each quarter of a megabyte is brought to it."""
    made = Disk(tmp_path / "cache" / BLOBS)
    monkeypatch.setattr(os, "fsync", made.fsync)
    monkeypatch.setattr(flush, "FLUSH_EVERY", 250_000)
    return made


@pytest.fixture
async def service(hub: Hub, endpoint: str, tmp_path: Path) -> AsyncIterator[HubService]:
    hub.add("owner/model", {FILE.filename: WEIGHTS})
    made = HubService(access=HubAccess(endpoint, answer_timeout_s=60, stall_timeout_s=60), cache=tmp_path / "cache")
    yield made
    await made.aclose()


def at(bytes_: int) -> tuple[asyncio.Event, Callable[[int, int], None]]:
    """An event that is set when so many bytes are here, and what sets it."""
    reached = asyncio.Event()
    return reached, lambda done, _: reached.set() if done >= bytes_ else None


async def test_a_file_comes_to_the_disk_bit_by_bit_and_gets_its_name_when_all_of_it_is_there(
    service: HubService, disk: Disk
) -> None:
    fetched = await service.fetch(FILE)
    assert fetched.path.read_bytes() == WEIGHTS
    assert len(disk.sizes) >= 3
    assert disk.sizes == sorted(disk.sizes)
    assert disk.sizes[0] < len(WEIGHTS) / 2
    assert disk.sizes[-1] == len(WEIGHTS)
    assert disk.most_at_once == 1
    assert all(names == {f"{fetched.remote.etag}.bodhi.part"} for names in disk.names)


async def test_a_slow_disk_holds_nobody_up_but_the_end(hub: Hub, service: HubService, disk: Disk) -> None:
    disk.is_open.clear()
    hub.fault("cdn", Fault(hang_after=1_999_999))
    reached, note = at(1_900_000)
    task = asyncio.create_task(service.fetch(FILE, progress=note))
    async with asyncio.timeout(60):
        await reached.wait()
        assert len(disk.sizes) == 1, "it is still at the first"
        hub.mend()
        disk.is_open.set()
        assert (await task).path.read_bytes() == WEIGHTS
    assert disk.sizes[-1] == len(WEIGHTS)


async def test_a_disk_that_fails_once_in_the_middle_has_kept_nothing(hub: Hub, service: HubService, disk: Disk) -> None:
    disk.failing = {0}
    with pytest.raises(CacheNotWritable, match=r"did not keep the file: Input/output error"):
        await service.fetch(FILE)
    assert list((service.cache / BLOBS).iterdir()) == []
    hub.seen.clear()
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS
    assert hub.requests("cdn")[0].begin == 0


async def test_who_leaves_does_not_wait_for_the_disk_and_what_it_did_not_keep_is_no_beginning(
    hub: Hub, service: HubService, disk: Disk
) -> None:
    disk.is_open.clear()
    disk.failing = {0}
    hub.fault("cdn", Fault(hang_after=1_000_000))
    reached, note = at(900_000)
    task = asyncio.create_task(service.fetch(FILE, progress=note))
    async with asyncio.timeout(60):
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert len(disk.sizes) == 1, "it is still at the first"
    disk.is_open.set()
    hub.mend()
    hub.seen.clear()
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS
    assert hub.requests("cdn")[0].begin == 0


async def test_what_an_earlier_life_has_left_comes_to_the_disk_too(hub: Hub, service: HubService, disk: Disk) -> None:
    remote = await service.describe(FILE)
    part = service.cache / BLOBS / f"{remote.etag}.bodhi.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:1_900_000])
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS
    assert disk.sizes[0] > 1_900_000
    assert hub.sent_bytes == 100_000
