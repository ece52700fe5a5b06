"""Watching: what is added or removed by hand is noticed soon, told once, and costs nothing while nothing happens."""

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFilesChanged
from bodhi_asgi.shelf.service import ShelfService
from tests.shelf.hub_cache import NEW, OLD, HubCache
from tests.shelf.shelves import database_at, shelf_of

REPO = "owner/Model-GGUF"


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture
def events() -> EventBus:
    return EventBus()


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    async with database_at("sqlite://") as database:
        yield database


@pytest.fixture
async def shelf(cache: HubCache, events: EventBus, database: Database) -> AsyncIterator[ShelfService]:
    async with shelf_of(cache.path, database, events=events) as shelf:
        yield shelf


async def test_a_file_added_by_hand_is_listed_within_seconds(
    cache: HubCache, shelf: ShelfService, events: EventBus
) -> None:
    assert await shelf.files() == ()
    with events.subscribe(ModelFilesChanged) as changes:
        cache.add(REPO, "a.gguf")
        async with asyncio.timeout(20):
            assert await anext(changes) == ModelFilesChanged(added=1, changed=0, removed=0)
        (file,) = await shelf.files()
        assert file.filename == "a.gguf"
        file.path.unlink()
        async with asyncio.timeout(20):
            assert await anext(changes) == ModelFilesChanged(added=0, changed=0, removed=1)
    assert await shelf.files() == ()


async def test_a_file_that_is_being_written_is_seen_to_grow(
    cache: HubCache, shelf: ShelfService, events: EventBus
) -> None:
    with events.subscribe(ModelFilesChanged) as changes:
        link = cache.add(REPO, "a.gguf", b"GGUF")
        async with asyncio.timeout(20):
            await anext(changes)
            with link.open("ab") as file:
                file.write(b"more")
            assert await anext(changes) == ModelFilesChanged(added=0, changed=1, removed=0)
    assert (await shelf.files())[0].size_bytes == 8


async def test_who_asks_first_waits_for_the_first_look(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "a.gguf")
    assert len(await shelf.files()) == 1


async def test_a_look_on_request_sees_what_was_just_put_there(cache: HubCache, shelf: ShelfService) -> None:
    await shelf.files()
    cache.add(REPO, "a.gguf")
    assert len(await shelf.look()) == 1


async def test_a_file_is_found_by_name_in_the_snapshot_that_is_meant(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "a.gguf", b"old", snapshot=OLD, ref="main")
    cache.add(REPO, "a.gguf", b"newer", snapshot=NEW)
    cache.add(REPO, "only-new.gguf", snapshot=NEW)

    async def snapshot(filename: str, wanted: str = "main") -> str | None:
        found = await shelf.find(REPO, filename, wanted)
        return found and found.snapshot

    assert await snapshot("a.gguf") == OLD
    assert await snapshot("a.gguf", NEW) == NEW
    assert await snapshot("only-new.gguf") == NEW
    assert await snapshot("only-new.gguf", OLD) is None
    assert await snapshot("none.gguf") is None
    assert await snapshot("../a.gguf") is None


async def test_the_thread_and_the_task_end_with_the_watch(
    cache: HubCache, events: EventBus, database: Database
) -> None:
    async with shelf_of(cache.path, database, watch_s=60) as shelf:
        await shelf.files()
        assert any(thread.name.startswith("bodhi-shelf") for thread in threading.enumerate())
        await shelf.aclose()
    assert not any(thread.name.startswith("bodhi-shelf") for thread in threading.enumerate())
    assert not any(task.get_name().startswith("bodhi-shelf") for task in asyncio.all_tasks())
