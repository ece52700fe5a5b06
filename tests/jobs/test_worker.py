"""A worker in this process: its cap, its beats, its end, and what becomes of work that fails."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.clock import StillClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.jobs import store
from bodhi_asgi.jobs.types import Claim
from bodhi_asgi.jobs.worker import MAX_DELAY_S, Worker, delay_s

LONG_S = 3600.0


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, timeout_s=5)
    await database.open()
    await database.migrate("auto")
    async with asyncio.timeout(60):
        yield database
    await database.close()


class Bench:
    """A worker whose jobs end when the test says so."""

    def __init__(self, database: Database, clock: StillClock, **options: Any) -> None:
        self.database = database
        self.clock = clock
        self.begun: asyncio.Queue[Claim] = asyncio.Queue()
        self.ended: asyncio.Queue[str] = asyncio.Queue()
        self.may_end = asyncio.Event()
        self.running = 0
        self.most = 0
        self.fails: Callable[[], None] = lambda: None
        given = {"parallel": 2, "look_s": LONG_S, "beat_s": LONG_S, **options}
        self.worker = Worker(database=database, clock=clock, kind="test", run=self.run, **given)

    async def run(self, held: Claim) -> None:
        self.running += 1
        self.most = max(self.most, self.running)
        self.begun.put_nowait(held)
        try:
            await self.may_end.wait()
            self.fails()
            async with self.database.transaction() as tx:
                await store.finish(tx, held)
            self.ended.put_nowait(held.subject)
        except asyncio.CancelledError:
            self.ended.put_nowait(f"{held.subject} cancelled")
            raise
        finally:
            self.running -= 1

    async def add(self, *subjects: str) -> None:
        async with self.database.transaction() as tx:
            for subject in subjects:
                await store.add(tx, "test", subject, self.clock.now())
            tx.after_commit(self.worker.wake)

    async def left(self, at_once: bool = True) -> bool:
        """Whether a job is there that anybody could take now."""
        async with self.database.reading() as tx:
            return await store.has_due(tx, "test", self.clock.now())


async def test_jobs_are_done_as_many_at_once_as_allowed(database: Database, clock: StillClock) -> None:
    bench = Bench(database, clock)
    async with bench.worker:
        await bench.add("a", "b", "c")
        assert {(await bench.begun.get()).subject for _ in range(2)} == {"a", "b"}
        assert bench.worker.subjects == {"a", "b"}
        bench.may_end.set()
        assert (await bench.begun.get()).subject == "c"
        assert {await bench.ended.get() for _ in range(3)} == {"a", "b", "c"}
    assert bench.most == 2
    clock.advance(LONG_S)
    assert not await bench.left()


async def test_a_worker_that_may_do_nothing_leaves_jobs_alone(database: Database, clock: StillClock) -> None:
    idle, busy = Bench(database, clock, parallel=0), Bench(database, clock)
    async with idle.worker, busy.worker:
        await idle.add("a")
        busy.worker.wake()
        assert (await busy.begun.get()).subject == "a"
    assert idle.begun.empty()


async def test_a_worker_that_stops_gives_back_what_it_is_at(database: Database, clock: StillClock) -> None:
    bench = Bench(database, clock)
    async with bench.worker:
        await bench.add("a")
        await bench.begun.get()
        assert not await bench.left()
    assert await bench.ended.get() == "a cancelled"
    assert await bench.left()


async def test_a_dropped_job_is_interrupted_at_once(database: Database, clock: StillClock) -> None:
    bench = Bench(database, clock)
    async with bench.worker:
        await bench.add("a")
        await bench.begun.get()
        async with database.transaction() as tx:
            await store.drop(tx, "test", "a")
        bench.worker.interrupt("a")
        bench.worker.interrupt("nobody")
        assert await bench.ended.get() == "a cancelled"
        bench.may_end.set()
        await bench.add("a")  # and may be wanted again
        assert await bench.ended.get() == "a"


async def test_a_drop_by_another_process_is_found_out_with_the_next_beat(database: Database, clock: StillClock) -> None:
    bench = Bench(database, clock, beat_s=0.01)
    async with bench.worker:
        await bench.add("a")
        await bench.begun.get()
        async with database.transaction() as tx:
            await store.drop(tx, "test", "a")
        assert await bench.ended.get() == "a cancelled"


async def test_a_job_added_elsewhere_is_found_by_looking(database: Database, clock: StillClock) -> None:
    bench = Bench(database, clock, look_s=0.01)
    bench.may_end.set()
    async with bench.worker:
        async with database.transaction() as tx:
            await store.add(tx, "test", "a", clock.now())
        assert await bench.ended.get() == "a"


async def test_a_job_that_fails_is_tried_again_after_a_growing_while(
    database: Database, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(database, clock, look_s=0.01)
    bench.may_end.set()
    reasons = [ValueError("one"), ValueError("two")]

    def fail() -> None:
        if reasons:
            raise reasons.pop(0)

    bench.fails = fail
    async with bench.worker:
        await bench.add("a")
        for failures in (0, 1, 2):
            assert (await bench.begun.get()).failures == failures
            if failures < 2:
                while bench.worker.subjects:
                    await asyncio.sleep(0)
                assert not await bench.left()
                clock.advance(delay_s(failures + 1))
        assert await bench.ended.get() == "a"
    assert caplog.text.count("a job failed") == 2


def test_the_delay_doubles_up_to_its_limit() -> None:
    assert [delay_s(failures) for failures in (0, 1, 2, 3, 4)] == [1, 1, 2, 4, 8]
    assert delay_s(10_000) == MAX_DELAY_S


async def test_a_worker_outlives_a_database_that_is_away(
    tmp_path: Path, clock: StillClock, caplog: pytest.LogCaptureFixture
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'away.db'}", timeout_s=5)
    bench = Bench(database, clock, look_s=0.01)
    bench.may_end.set()
    async with bench.worker:
        async with asyncio.timeout(20):
            while "no jobs can be claimed" not in caplog.text:
                await asyncio.sleep(0)
        await database.open()
        await database.migrate("auto")
        await bench.add("a")
        async with asyncio.timeout(20):
            assert await bench.ended.get() == "a"
    assert caplog.text.count("no jobs can be claimed") == 1
    await database.close()


async def test_a_job_whose_worker_cannot_be_heard_is_given_up_in_time(database: Database, clock: StillClock) -> None:
    """Two must never be at one job: who cannot say that he is at it must stop before another may begin."""
    bench = Bench(database, clock, beat_s=0.01, lease_s=0.2)
    async with bench.worker:
        await bench.add("a")
        await bench.begun.get()
        await database.close()
        async with asyncio.timeout(20):
            assert await bench.ended.get() == "a cancelled"
    await database.open()


async def test_leases_are_counted_by_the_clock(database: Database, clock: StillClock) -> None:
    bench = Bench(database, clock)
    async with bench.worker:
        await bench.add("a")
        await bench.begun.get()
        clock.advance(timedelta(hours=1).total_seconds())
        assert await bench.left()
