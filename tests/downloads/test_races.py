"""Several servers decide about one download at the same moment: one after the other, and what each is told is true."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import select

from bodhi_asgi import BodhiServer
from bodhi_asgi.downloads.errors import DownloadEnded
from bodhi_asgi.downloads.steering import KIND
from bodhi_asgi.downloads.tables import DOWNLOADS
from bodhi_asgi.downloads.work import Downloader
from bodhi_asgi.jobs import store as jobs
from bodhi_asgi.jobs.errors import ClaimLost
from bodhi_asgi.jobs.tables import JOBS
from tests.conftest import numbers
from tests.downloads.test_steering import FILE, hang
from tests.hub.server import Hub
from tests.neighbours.postgres import Cluster
from tests.neighbours.waiting import held

Settings = dict[str, Any]


@pytest.fixture
def shared(settings: Settings, postgres: Cluster) -> Settings:
    """Settings of servers with one database, none of which fetches by itself."""
    url = postgres.create(f"deciding{next(numbers)}")
    return {**settings, "database_url": url, "downloads": {"parallel": 0}}


@pytest.fixture
async def two(shared: Settings) -> AsyncIterator[tuple[BodhiServer, BodhiServer]]:
    async with asyncio.timeout(100), BodhiServer(**shared) as one, BodhiServer(**shared) as other:
        yield one, other


async def has_job(server: BodhiServer, download_id: str) -> bool:
    async with server.services.database.reading() as tx:
        return await tx.fetch_one(select(JOBS).where(JOBS.c.subject == download_id)) is not None


async def actions(server: BodhiServer, download_id: str) -> list[str]:
    rows = (await server.services.audit.list(await server.caller())).data
    return [row.action for row in reversed(rows) if row.subject == download_id]


async def test_a_download_that_two_resume_goes_on_once(two: tuple[BodhiServer, BodhiServer], shared: Settings) -> None:
    one, other = two
    model = await one.pull_model(FILE)
    await one.downloads.pause(model.id)
    async with held(shared["database_url"], DOWNLOADS, DOWNLOADS.c.id == model.id) as row:
        resuming = [asyncio.create_task(server.downloads.resume(model.id)) for server in two]
        await row.until(2)
    assert [(await task).state for task in resuming] == ["queued", "queued"]
    assert await has_job(one, model.id)
    assert await actions(other, model.id) == ["download.pull", "download.pause", "download.resume"]


async def test_a_download_that_one_cancels_while_another_pauses_it_is_cancelled(
    two: tuple[BodhiServer, BodhiServer], shared: Settings
) -> None:
    one, other = two
    model = await one.pull_model(FILE)
    async with held(shared["database_url"], JOBS, JOBS.c.subject == model.id) as row:
        cancelling = asyncio.create_task(one.downloads.cancel(model.id))
        pausing = asyncio.create_task(other.downloads.pause(model.id))
        await row.until(2)
    ends = await asyncio.gather(pausing, return_exceptions=True)
    assert (await cancelling).state == "cancelled"
    # Whoever came first: what was cancelled before is not paused, and what was paused is cancelled all the same.
    paused = [end for end in ends if not isinstance(end, DownloadEnded)]
    assert [shape.state for shape in paused if not isinstance(shape, BaseException)] == ["paused"] * len(paused)
    told = await actions(one, model.id)
    assert told == ["download.pull", *["download.pause"] * len(paused), "download.cancel"]
    assert not await has_job(one, model.id)


async def test_a_download_that_is_paused_just_as_it_begins_is_paused(
    two: tuple[BodhiServer, BodhiServer], shared: Settings, hub: Hub
) -> None:
    one, other = two
    services = other.services
    hang(hub)
    model = await one.pull_model(FILE)
    now = services.clock.now()
    async with services.database.transaction() as tx:
        claim = await jobs.claim(tx, KIND, now, now + jobs.LONGEST_LEASE, place=services.downloads._steering.place)
    assert claim is not None
    downloader = Downloader(
        database=services.database,
        audit=services.audit,
        events=services.events,
        meters=services.meters,
        clock=services.clock,
        hub=services.hub,
        attempts=1,
        arrived=services.shelf.look,
    )

    async def at_work() -> None:
        while (await one.downloads.get(model.id)).state != "running":
            await asyncio.sleep(0.01)

    async with held(shared["database_url"], JOBS, JOBS.c.subject == model.id) as row:
        pausing = asyncio.create_task(one.downloads.pause(model.id))
        running = asyncio.create_task(downloader.run(claim))
        begun = asyncio.create_task(at_work())
        await row.until(2, begun)
    try:
        assert (await pausing).state == "paused"
        with pytest.raises(ClaimLost):  # as its worker will hear with the next beat
            await running
        assert not await has_job(one, model.id)
        assert (await other.downloads.resume(model.id)).state == "queued"
    finally:
        for task in (begun, running):
            task.cancel()
        await asyncio.wait({begun, running})


async def test_a_file_that_two_ask_for_at_once_comes_once(
    two: tuple[BodhiServer, BodhiServer], shared: Settings
) -> None:
    pulled = await asyncio.gather(*(server.pull_model(FILE) for server in two * 3))
    assert len({model.id for model in pulled}) == 1
    assert await actions(two[0], pulled[0].id) == ["download.pull"]
