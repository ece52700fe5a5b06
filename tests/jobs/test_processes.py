"""Several processes at the jobs of one database: each job is done once, and a dead worker's jobs go on elsewhere."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from bodhi_asgi.clock import SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.jobs import store
from tests.servers import Spawned, spawned

JOBS = 200


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    if url == "sqlite://":
        pytest.skip("memory is not shared between processes")
    database = Database(url)
    await database.open()
    await database.migrate("auto")
    yield database
    await database.close()


async def add(database: Database, *subjects: str) -> None:
    async with database.transaction() as tx:
        for subject in subjects:
            await store.add(tx, "test", subject, SystemClock().now())


@asynccontextmanager
async def laborer(url: str, *, lease_s: float) -> AsyncIterator[Spawned]:
    command = [sys.executable, "-m", "tests.jobs.laborer", url, str(lease_s)]
    async with spawned(command, {}) as process:
        await process.until("(ready)")
        yield process


def done(*processes: Spawned) -> list[str]:
    return [line.split()[1] for one in processes for line in one.lines if line.startswith("did")]


async def test_of_two_processes_that_race_for_jobs_each_job_is_done_once(database: Database, url: str) -> None:
    async with laborer(url, lease_s=120) as one, laborer(url, lease_s=120) as two:
        await add(database, *(f"job-{number}" for number in range(JOBS)))
        async with asyncio.timeout(120):
            while len(done(one, two)) < JOBS:
                assert one.process.returncode is None, one.output
                assert two.process.returncode is None, two.output
                await asyncio.sleep(0.02)
    assert sorted(done(one, two)) == sorted(f"job-{number}" for number in range(JOBS))
    begun = [line for process in (one, two) for line in process.lines if line.startswith("at")]
    assert len(begun) == JOBS


async def test_the_job_of_a_killed_process_is_taken_over(database: Database, url: str) -> None:
    async with laborer(url, lease_s=2) as one:
        await add(database, "hang")
        await one.until("at (hang)")
        await one.kill_all()
        async with laborer(url, lease_s=120) as two:
            await two.until("at (hang)")
