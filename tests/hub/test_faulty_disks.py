"""The disk is full, cannot link, cannot lock, leads elsewhere or keeps nothing: a sentence, and no half of a file."""

import asyncio
import errno
import fcntl
import os
import random
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import try_to_load_from_cache

from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import CacheNotWritable, DiskFull
from bodhi_asgi.hub.folder import RepoFolder
from bodhi_asgi.hub.locks import BlobLock
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import HubFile
from tests.hub.server import Fault, Hub

WEIGHTS = random.Random(8).randbytes(2_000_000)
FILE = HubFile("owner/model", "folder/model.gguf")
BLOBS = Path("models--owner--model") / "blobs"


@pytest.fixture
async def service(hub: Hub, endpoint: str, tmp_path: Path) -> AsyncIterator[HubService]:
    hub.add("owner/model", {FILE.filename: WEIGHTS})
    made = HubService(access=HubAccess(endpoint, answer_timeout_s=60, first_delay_s=0.01), cache=tmp_path / "cache")
    yield made
    await made.aclose()


def failing(monkeypatch: pytest.MonkeyPatch, name: str, number: int, *, after: int = 0) -> None:
    """Let a call of the system fail, after some that do not."""
    whole, calls = getattr(os, name), iter(range(1_000_000))

    def call(*args: Any, **kwargs: Any) -> Any:
        if next(calls) >= after:
            raise OSError(number, os.strerror(number))
        return whole(*args, **kwargs)

    monkeypatch.setattr(os, name, call)


async def test_a_disk_without_room_is_told_before_anything_is_sent(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    with monkeypatch.context() as small:
        small.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
        with pytest.raises(DiskFull, match=r"2,000,000 more bytes are needed, and 1,000,000 are free") as full:
            await service.fetch(FILE)
    assert full.value.params == {"needed_bytes": 2_000_000, "free_bytes": 1_000_000}
    assert hub.sent_bytes == 0
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
async def test_a_disk_that_fills_up_meanwhile_keeps_what_has_arrived(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    with monkeypatch.context() as filling:
        failing(filling, "pwrite", number, after=40)  # of a small file, a write is of 16 KiB
        with pytest.raises(DiskFull) as full:
            await service.fetch(FILE)
    (part,) = (service.cache / BLOBS).iterdir()
    kept = part.stat().st_size
    assert 0 < kept < len(WEIGHTS)
    assert full.value.params["needed_bytes"] == len(WEIGHTS) - kept
    hub.seen.clear()
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS
    assert hub.requests("cdn")[0].begin == kept


async def test_a_disk_that_does_not_keep_what_is_written_gets_it_anew(
    service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, "fsync", errno.EIO)
        with pytest.raises(CacheNotWritable, match="did not keep"):
            await service.fetch(FILE)
    assert list((service.cache / BLOBS).iterdir()) == []
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS


async def test_where_links_cannot_be_the_file_itself_is_in_its_snapshot(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing(monkeypatch, "symlink", errno.EPERM)
    fetched = await service.fetch(FILE)
    assert not fetched.path.is_symlink()
    assert fetched.path.read_bytes() == WEIGHTS
    assert list((service.cache / BLOBS).iterdir()) == []
    assert try_to_load_from_cache("owner/model", FILE.filename, cache_dir=service.cache) == str(fetched.path)
    assert (await service.fetch(FILE)).received_bytes == 0
    assert hub.sent_bytes == len(WEIGHTS)


async def test_a_failing_link_is_no_reason_to_move_the_file(
    service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as broken:
        failing(broken, "symlink", errno.EIO)
        with pytest.raises(CacheNotWritable):
            await service.fetch(FILE)
    fetched = await service.fetch(FILE)
    assert fetched.path.is_symlink()
    assert fetched.received_bytes == 0


async def test_where_a_lock_holds_nobody_off_each_writes_a_part_of_his_own(
    hub: Hub, service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fcntl, "flock", lambda *_: None)
    others = HubService(access=service.access, cache=service.cache)
    hub.fault("cdn", Fault(pause_s=0.001, times=2))
    try:
        fetched = await asyncio.gather(service.fetch(FILE), others.fetch(FILE))
    finally:
        await others.aclose()
    assert fetched[0].path.read_bytes() == WEIGHTS
    assert fetched[0].path == fetched[1].path
    hub.add("owner/model", {"other.gguf": WEIGHTS[::-1]})
    hub.fault("cdn", Fault(wrong_byte_at=5))
    with pytest.raises(Exception, match="checksum"):
        await service.fetch(HubFile("owner/model", "other.gguf"))
    assert [path for path in (service.cache / BLOBS).iterdir() if path.suffix == ".part"] == []


async def test_where_nothing_can_be_locked_it_is_fetched_all_the_same(
    service: HubService, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: Any) -> None:
        raise OSError(errno.ENOLCK, "no locks")

    monkeypatch.setattr(fcntl, "flock", unsupported)
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS


async def test_a_lock_that_cannot_be_taken_is_told(service: HubService, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(fcntl, "flock", broken)
    with pytest.raises(CacheNotWritable, match="Input/output error"):
        await service.fetch(FILE)


def test_a_lock_is_anothers_until_it_is_let_go_and_lives_in_the_file_of_that_name(tmp_path: Path) -> None:
    first, second = BlobLock(tmp_path / "x.lock"), BlobLock(tmp_path / "x.lock")
    assert first.take()
    assert first.holds()
    assert not second.take()
    (tmp_path / "x.lock").unlink()
    assert second.take(), "a removed file locks nobody out"
    first.release()
    second.release()
    second.release()
    assert first.take()
    first.release()


@pytest.mark.parametrize(
    "planted",
    [
        "models--owner--model",
        "models--owner--model/blobs",
        "models--owner--model/snapshots",
        "models--owner--model/refs",
        ".locks",
        ".locks/models--owner--model",
    ],
)
async def test_a_link_that_leads_out_of_the_cache_is_not_followed(
    service: HubService, tmp_path: Path, planted: str
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    link = service.cache / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(elsewhere)
    with pytest.raises(CacheNotWritable, match="leads out of it"):
        await service.fetch(FILE)
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("where", ["", "models--owner--model", "models--owner--model/blobs", ".locks"])
async def test_a_link_that_leads_to_itself_is_told(hub: Hub, service: HubService, where: str) -> None:
    loop = service.cache / where
    loop.parent.mkdir(parents=True, exist_ok=True)
    loop.symlink_to(loop)
    with pytest.raises(CacheNotWritable):
        await service.fetch(FILE)
    assert hub.sent_bytes == 0


async def test_a_link_in_place_of_a_file_is_replaced_or_refused(service: HubService, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    remote = await service.describe(FILE)
    folder = RepoFolder(service.cache, FILE.repo)
    for place in (folder.part(remote.etag), folder.lock(remote.etag)):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.unlink(missing_ok=True)
        place.symlink_to(victim)
        with pytest.raises(CacheNotWritable):
            await service.fetch(FILE)
        place.unlink()
    for place in (folder.blob(remote.etag), folder.pointer(remote.commit, FILE.filename), folder.ref("main")):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(victim)
    fetched = await service.fetch(FILE)
    assert fetched.path.read_bytes() == WEIGHTS
    assert victim.read_bytes() == b"precious"


async def test_a_cache_that_cannot_be_made_is_told(endpoint: str, hub: Hub, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    hub.add("owner/model", {FILE.filename: WEIGHTS})
    service = HubService(access=HubAccess(endpoint), cache=tmp_path / "file" / "cache")
    try:
        with pytest.raises(CacheNotWritable, match=r"Not a directory; see hub\.cache_dir"):
            await service.fetch(FILE)
    finally:
        await service.aclose()


async def test_a_fetch_that_is_given_up_while_another_has_the_lock_leaves_at_once(
    hub: Hub, service: HubService
) -> None:
    remote = await service.describe(FILE)
    folder = RepoFolder(service.cache, FILE.repo)
    folder.prepare(remote)
    lock = BlobLock(folder.lock(remote.etag))
    assert lock.take()
    hub.seen.clear()
    task = asyncio.create_task(service.fetch(FILE))
    async with asyncio.timeout(60):
        while not hub.requests("head"):
            await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    lock.release()
    assert hub.sent_bytes == 0
    assert (await service.fetch(FILE)).path.read_bytes() == WEIGHTS


async def test_what_nobody_wants_any_longer_is_forgotten(hub: Hub, service: HubService) -> None:
    hub.fault("cdn", Fault(cut_after=500_000), Fault(status=500, times=9))
    with pytest.raises(Exception, match="500"):
        await service.fetch(FILE)
    remote = await service.describe(FILE)
    folder = RepoFolder(service.cache, FILE.repo)
    assert folder.part(remote.etag).stat().st_size == 500_000
    folder.forget(remote.etag)
    folder.forget(remote.etag)
    assert list((service.cache / BLOBS).iterdir()) == []


async def test_a_file_is_found_as_it_was_last_seen_without_asking(hub: Hub, service: HubService) -> None:
    folder = RepoFolder(service.cache, FILE.repo)
    assert folder.found(FILE) is None
    fetched = await service.fetch(FILE)
    assert folder.found(FILE) == fetched.path
    assert folder.found(HubFile("owner/model", FILE.filename, fetched.remote.commit)) == fetched.path
    assert folder.found(HubFile("owner/model", "other.gguf")) is None
    folder.ref("main").write_text("../../elsewhere")
    assert folder.found(FILE) is None
