"""Keeping the cache within a size: what was not used for longest goes first, and never what somebody needs."""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import StillClock, SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFileRemoved
from bodhi_asgi.shelf.eviction import RECENT_S
from bodhi_asgi.shelf.holders import Hold, Intent
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.shelf.tables import MODEL_FILES
from bodhi_asgi.shelf.types import LocalFile
from bodhi_asgi.shelf.uses import EVERY_S, MAX_PATHS
from tests.shelf.hub_cache import NEW, OLD, HubCache
from tests.shelf.shelves import database_at, shelf_of

REPO = "owner/Model-GGUF"
SYSTEM = Caller.system()
KIB = b"GGUF" * 256


class Held:
    """Holds some files by their names."""

    def __init__(self, *filenames: str) -> None:
        self.filenames = filenames

    async def holds(self, file: LocalFile, _: Intent) -> Hold | None:
        return Hold("is needed") if file.filename in self.filenames else None


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with database_at(url) as database:
        yield database


def add(cache: HubCache, name: str, age_h: float, *, snapshot: str = NEW, content: bytes | None = None) -> Path:
    """A file of one KiB that came so many hours ago."""
    made = KIB[: 1024 - len(name)] + name.encode() if content is None else content
    link = cache.add(REPO, name, made, snapshot=snapshot)
    at = datetime.now(UTC).timestamp() - age_h * 3600
    os.utime(link, (at, at))
    return link


def there(cache: HubCache) -> list[str]:
    folder = cache.repo(REPO) / "snapshots"
    return sorted(path.name for path in folder.rglob("*.gguf"))


async def settled(shelf: ShelfService) -> int:
    """Evict what must go, and say how many bytes there are too many still."""
    return await shelf._eviction.evict()


async def test_the_files_that_were_not_used_for_longest_go_until_the_rest_fits(
    cache: HubCache, database: Database
) -> None:
    for number in range(5):
        add(cache, f"{number}.gguf", age_h=10 - number)
    events = EventBus()
    with events.subscribe(ModelFileRemoved) as removals:
        async with shelf_of(cache.path, database, events=events, max_cache_bytes=3 * 1024) as shelf:
            async with asyncio.timeout(20):
                assert [(await anext(removals)).filename for _ in range(2)] == ["0.gguf", "1.gguf"]
            assert await settled(shelf) == 0
            assert there(cache) == ["2.gguf", "3.gguf", "4.gguf"]
    rows = (await AuditService(database=database, clock=SystemClock()).list(SYSTEM)).data
    assert [(row.action, row.subject, row.caller_id) for row in reversed(rows)] == [
        ("model_file.evict", f"{REPO}/0.gguf", "system"),
        ("model_file.evict", f"{REPO}/1.gguf", "system"),
    ]


async def test_without_a_limit_nothing_goes(cache: HubCache, database: Database) -> None:
    add(cache, "old.gguf", age_h=10_000)
    async with shelf_of(cache.path, database) as shelf:
        await shelf.list(SYSTEM)
        assert not any(task.get_name() == "bodhi-shelf-eviction" for task in asyncio.all_tasks())
    assert there(cache) == ["old.gguf"]


async def test_what_is_held_stays_and_the_next_goes(cache: HubCache, database: Database) -> None:
    for number in range(4):
        add(cache, f"{number}.gguf", age_h=10 - number)
    held = Held("0.gguf", "2.gguf")
    async with shelf_of(cache.path, database, max_cache_bytes=1, holders=[held]) as shelf:
        assert await settled(shelf) == 3 * 1024 - 1
        assert there(cache) == ["0.gguf", "2.gguf", "3.gguf"]
        held.filenames = ()
        await settled(shelf)
        assert there(cache) == ["3.gguf"], "what was wanted last stays though it is too large"


async def test_a_use_counts_and_what_was_just_used_or_came_just_now_stays(cache: HubCache, database: Database) -> None:
    for number in range(4):
        add(cache, f"{number}.gguf", age_h=10 - number)
    async with shelf_of(cache.path, database) as shelf:
        files = await shelf.files()
        shelf.note_use([str(files[0].path)])
        # Engines may know a file by where its link leads.
        shelf.note_use([os.path.realpath(files[1].path)])
    async with shelf_of(cache.path, database, max_cache_bytes=1) as shelf:
        await settled(shelf)
        assert there(cache) == ["0.gguf", "1.gguf"]
        page = await shelf.list(SYSTEM)
        assert all(one.last_used_at is not None for one in page.data)
        add(cache, "new.gguf", age_h=0)
        await settled(shelf)
        assert there(cache) == ["0.gguf", "1.gguf", "new.gguf"]


async def test_bytes_with_several_names_count_once(cache: HubCache, database: Database) -> None:
    same = KIB
    add(cache, "a.gguf", 10, content=same)
    add(cache, "a.gguf", 10, content=same, snapshot=OLD)
    add(cache, "b.gguf", 5)
    async with shelf_of(cache.path, database, max_cache_bytes=2 * 1024) as shelf:
        assert await settled(shelf) == 0
        assert there(cache) == ["a.gguf", "a.gguf", "b.gguf"]


async def test_files_of_plain_folders_neither_count_nor_go(cache: HubCache, database: Database, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    mine = plain / "mine.gguf"
    mine.write_bytes(KIB * 10)
    os.utime(mine, (0, 0))
    add(cache, "a.gguf", 10)
    add(cache, "b.gguf", 5)
    async with shelf_of(cache.path, database, folders=[plain], max_cache_bytes=2 * 1024) as shelf:
        assert await settled(shelf) == 0
    assert mine.is_file()
    assert there(cache) == ["a.gguf", "b.gguf"]


async def last_used(database: Database) -> datetime | None:
    async with database.reading() as tx:
        row = await tx.fetch_one(select(MODEL_FILES.c.last_used_at))
    return None if row is None else row.last_used_at


async def test_a_use_is_written_once_a_minute_at_most(cache: HubCache, database: Database) -> None:
    clock = StillClock()
    path = [str(add(cache, "a.gguf", 10))]
    async with shelf_of(cache.path, database, clock=clock) as shelf:
        await shelf.list(SYSTEM)
        began = clock.now()
        shelf.note_use([*path, "nowhere.gguf"])
        await shelf._uses.write()
        assert await last_used(database) == began
        clock.advance(EVERY_S - 1)
        shelf.note_use(path)
        await shelf._uses.write()
        assert await last_used(database) == began
        clock.advance(1)
        shelf.note_use(path)
        await shelf._uses.write()
        assert await last_used(database) == clock.now()
        shelf.note_use(str(number) for number in range(2 * MAX_PATHS))
        assert len(shelf._uses._noted) <= MAX_PATHS


async def test_a_use_without_a_database_hurts_nobody(cache: HubCache, tmp_path: Path) -> None:
    path = add(cache, "a.gguf", 10)
    closed = Database(f"sqlite:///{tmp_path / 'closed.db'}")
    async with shelf_of(cache.path, closed, max_cache_bytes=1) as shelf:
        shelf.note_use([str(path)])
        assert len(await shelf.files()) == 1


def test_a_use_is_written_before_it_could_be_missed() -> None:
    assert RECENT_S > EVERY_S


async def test_what_was_noted_last_is_written_at_the_end(cache: HubCache, database: Database) -> None:
    path = add(cache, "a.gguf", 10)
    async with shelf_of(cache.path, database) as shelf:
        await shelf.list(SYSTEM)
        shelf.note_use([str(path)])
        await asyncio.sleep(0)  # the task that writes has begun, and is cancelled in the middle
    assert await last_used(database) is not None
