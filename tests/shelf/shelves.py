"""A shelf over a cache, with a real database, as a server has it."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFilesDescribed
from bodhi_asgi.gguf.facts import GgufFacts
from bodhi_asgi.shelf.holders import Holder
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.service import ShelfService


def capable(facts: GgufFacts, projector: GgufFacts | None) -> Iterable[str]:
    """Stands for what a model can do, which is another family's to tell."""
    yield facts.kind
    yield "tools"
    if projector is not None and projector.reads_images:
        yield "vision"


@asynccontextmanager
async def database_at(url: str) -> AsyncIterator[Database]:
    """A database with all tables."""
    database = Database(url, timeout_s=60)
    await database.open()
    try:
        await database.migrate("auto")
        yield database
    finally:
        await database.close()


@asynccontextmanager
async def shelf_of(
    cache: Path,
    database: Database,
    *,
    folders: Sequence[Path] = (),
    events: EventBus | None = None,
    clock: Clock | None = None,
    watch_s: float = 0.1,
    max_cache_bytes: int = 0,
    holders: Sequence[Holder] = (),
) -> AsyncIterator[ShelfService]:
    """A shelf that looks and reads."""
    clock = clock or SystemClock()
    shelf = ShelfService(
        places(cache, folders),
        database=database,
        audit=AuditService(database=database, clock=clock),
        events=events or EventBus(),
        clock=clock,
        watch_s=watch_s,
        capable=capable,
        max_cache_bytes=max_cache_bytes,
    )
    for holder in holders:
        shelf.ask(holder)
    shelf.start()
    try:
        yield shelf
    finally:
        await shelf.aclose()


async def all_read(events: EventBus, shelf: ShelfService) -> None:
    """Wait until every header has been read."""
    from bodhi_asgi.caller import Caller

    with events.subscribe(ModelFilesDescribed) as described:
        async with asyncio.timeout(120):
            while await shelf.queue_status(Caller.system()) != "idle" or not await shelf.files():
                await anext(described)
