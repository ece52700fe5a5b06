"""A disk that fills up under a download: a sentence in numbers, nothing that could be loaded, and on at the byte."""

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import try_to_load_from_cache

from bodhi_asgi import BodhiServer
from bodhi_asgi.downloads.errors import DownloadFailed
from bodhi_asgi.hub.errors import DiskFull
from tests.downloads.conftest import FAT
from tests.hub.server import Fault, Hub

REPO = "acme/fat-GGUF"
NAME = "fat-Q8_0.gguf"
SIZE = 2 * len(FAT)
LIMIT = 1_600_000


class Disk:
    """Where a file fits until it is filled, and again when it is freed."""

    def __init__(self, folder: Path, fill: Callable[[], None], free: Callable[[], None]) -> None:
        self.folder = folder
        self.fill = fill
        self.free = free


@contextmanager
def small_disk(folder: Path) -> Iterator[Disk]:
    """A real one of its own, in memory. Mounting takes rights."""
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("nothing may be mounted here")
    ballast = folder / "ballast"

    def fill() -> None:
        with ballast.open("wb", buffering=0) as file:
            try:
                while file.write(b"x" * 4096):
                    pass
            except OSError:
                return

    try:
        yield Disk(folder, fill, ballast.unlink)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@contextmanager
def limited_files(folder: Path) -> Iterator[Disk]:
    """No file of this process grows beyond a limit, as by a quota. Anybody may say so of himself."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, before[1]))

    def free() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    try:
        yield Disk(folder, fill, free)
    finally:
        free()


@pytest.mark.parametrize("disk_of", [small_disk, limited_files])
async def test_a_disk_that_fills_up_is_told_in_numbers_and_the_rest_comes_when_there_is_room(
    hub: Hub, settings: dict[str, Any], tmp_path: Path, disk_of: Any
) -> None:
    with disk_of(tmp_path / "disk") as disk:
        settings["hub"]["cache_dir"] = cache = disk.folder / "cache"
        hub.fault("cdn", Fault(call_at=1_000_000, hook=disk.fill, pause_s=0.001))
        async with BodhiServer(**settings) as server:
            model = await server.pull_model(f"{REPO}:Q8_0")
            with pytest.raises(DownloadFailed) as caught:
                await model
            assert caught.value.params["cause"] == model.now.error_code == DiskFull.code
            (part,) = cache.rglob("*.part")
            kept = part.stat().st_size
            assert 0 < kept < SIZE
            assert f"{SIZE - kept:,} more bytes are needed" in (model.now.error or "")
            assert try_to_load_from_cache(REPO, NAME, cache_dir=cache) is None
            assert list(cache.rglob("*.gguf")) == []
            assert (await server.aliases.list()).total == 0
            disk.free()
            await server.downloads.retry(model.id)
            assert (await (await server.downloads.follow(model.id))).state == "completed"
            assert [seen.begin for seen in hub.requests("cdn")][:2] == [0, kept]
            found = try_to_load_from_cache(REPO, NAME, cache_dir=cache)
            assert isinstance(found, str)
            assert Path(found).read_bytes() == FAT * 2


async def test_a_disk_that_is_full_with_the_database_on_it_lets_the_download_end_when_there_is_room(
    hub: Hub, settings: dict[str, Any], tmp_path: Path
) -> None:
    with small_disk(tmp_path / "disk") as disk:
        settings["hub"]["cache_dir"], settings["data_dir"] = disk.folder / "cache", disk.folder / "data"
        hub.fault("cdn", Fault(call_at=1_000_000, hook=disk.fill, pause_s=0.001))
        async with BodhiServer(**settings) as server:
            model = await server.pull_model(f"{REPO}:Q8_0")
            async for now in model:
                if now.error_code == DiskFull.code:
                    break
            disk.free()
            if model.now.state == "failed":
                await server.downloads.retry(model.id)
            assert (await (await server.downloads.follow(model.id))).state == "completed"
