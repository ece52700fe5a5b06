"""Machines that share a database fetch what was asked of them onto their own disks, and a shared disk once."""

import asyncio
import secrets
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import BodhiServer
from bodhi_asgi.hub.place import MARK, place_of
from tests.conftest import numbers
from tests.downloads.conftest import DEMO, FAT
from tests.downloads.test_steering import FILE, HALF, hang, until
from tests.hub.server import Hub
from tests.neighbours.postgres import Cluster

Settings = dict[str, Any]


@pytest.fixture
def shared(settings: Settings, postgres: Cluster) -> Settings:
    """Settings of machines with one database, which differ in what lies on the disk."""
    return {**settings, "database_url": postgres.create(f"places{next(numbers)}")}


def machine(shared: Settings, root: Path, **more: Any) -> BodhiServer:
    hub = {**shared["hub"], "cache_dir": root / "cache"}
    return BodhiServer(**{**shared, "data_dir": root / "data", "hub": hub, **more})


def files(root: Path) -> list[str]:
    return sorted(path.name for path in (root / "cache").rglob("*.gguf"))


async def test_each_machine_fetches_what_was_asked_of_it(shared: Settings, tmp_path: Path, hub: Hub) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    async with machine(shared, a, downloads={"parallel": 0}) as asked, machine(shared, b) as other:
        waiting = await asked.pull_model(DEMO)
        assert (await (await other.pull_model(FILE))).state == "completed"
        assert other.services.downloads.at_work == frozenset()
        assert (await other.downloads.get(waiting.id)).state == "queued"
        mine = await other.pull_model(DEMO)
        assert mine.id != waiting.id
        places = {one.id: one.place for one in (await other.downloads.list()).data}
        assert places[mine.id] not in (None, places[waiting.id])
        assert (await mine).state == "completed"
        assert (files(a), files(b)) == ([], ["demo-Q8_0.gguf", "fat-Q8_0.gguf", "mmproj-fat-f16.gguf"])
    async with machine(shared, a) as back:
        assert (await (await back.downloads.follow(waiting.id))).state == "completed"
        assert (await back.pull_model(DEMO)).id == waiting.id
    assert files(a) == ["demo-Q8_0.gguf"]


async def test_a_cache_that_machines_share_is_filled_by_any_of_them(shared: Settings, tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "a" / "cache").mkdir()
    (tmp_path / "b" / "cache").symlink_to(tmp_path / "a" / "cache")
    async with (
        machine(shared, tmp_path / "a", downloads={"parallel": 0}) as asked,
        machine(shared, tmp_path / "b"),
    ):
        assert (await (await asked.pull_model(DEMO))).state == "completed"
        assert DEMO in {model.repo for model in (await asked.aliases.list()).data}
    assert files(tmp_path / "a") == ["demo-Q8_0.gguf"]


async def test_what_is_cancelled_from_elsewhere_is_cleaned_up_where_it_lies(
    shared: Settings, tmp_path: Path, hub: Hub
) -> None:
    a, b = tmp_path / "a", tmp_path / "b"
    hang(hub)
    async with machine(shared, a) as one, machine(shared, b) as other:
        model = await one.pull_model(FILE)
        await until(model, "running", bytes_=HALF - 200_000)
        await one.downloads.pause(model.id)
        await until(model, "paused", bytes_=HALF - 200_000)
        assert list(a.rglob("*.part"))
        assert (await other.downloads.cancel(model.id)).state == "cancelled"
        async with asyncio.timeout(60):
            while list(a.rglob("*.part")):
                await asyncio.sleep(0.02)
        hub.mend()
        assert (await other.downloads.retry(model.id)).state == "queued"
        assert (await (await other.downloads.follow(model.id))).state == "completed"
    assert (files(a), files(b)) == (["fat-Q8_0.gguf", "mmproj-fat-f16.gguf"], [])
    assert len(FAT) * 2 == next(a.rglob("fat-Q8_0.gguf")).stat().st_size


def test_a_place_is_the_cache_itself_and_not_the_machine(tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    alone = place_of(cache, is_shared=False)
    assert not cache.exists()
    assert alone == place_of(tmp_path / "x" / ".." / "cache", is_shared=False) != place_of(tmp_path, is_shared=False)
    name = place_of(cache, is_shared=True)
    (tmp_path / "mounted").symlink_to(cache)
    assert place_of(tmp_path / "mounted", is_shared=True) == name == place_of(cache, is_shared=True)
    (cache / MARK).write_bytes(b"\xff nothing")
    again = place_of(cache, is_shared=True)
    assert again not in (name, alone)
    assert place_of(cache, is_shared=True) == again
    assert [path.name for path in (cache / ".locks").iterdir()] == [MARK.name]


def test_of_two_who_name_a_place_at_once_both_call_it_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = "5" * 32
    make = secrets.token_hex

    def make_while_another_is_quicker(bytes_: int) -> str:
        (tmp_path / MARK).write_text(theirs)
        return make(bytes_)

    monkeypatch.setattr("secrets.token_hex", make_while_another_is_quicker)
    assert place_of(tmp_path, is_shared=True) == theirs
    assert (tmp_path / MARK).read_text() == theirs


def test_a_cache_that_cannot_be_written_is_a_place_too(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    there = place_of(tmp_path / "file" / "cache", is_shared=True)
    assert there == place_of(tmp_path / "file" / "cache", is_shared=True)
    assert len(there) == 32


def test_a_file_system_without_links_keeps_the_name_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise PermissionError(1, "no links")

    monkeypatch.setattr("os.link", link)
    assert place_of(tmp_path, is_shared=True) == place_of(tmp_path, is_shared=True)
