"""Jobs in the database: who gets one, for how long, and what is refused in the name of an old claim."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from bodhi_asgi.db.database import Database
from bodhi_asgi.db.errors import ConstraintViolated
from bodhi_asgi.jobs import store
from bodhi_asgi.jobs.errors import ClaimLost
from bodhi_asgi.jobs.types import Claim

NOON = datetime(2026, 5, 4, 12, tzinfo=UTC)
LEASE = timedelta(seconds=10)


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, timeout_s=5)
    await database.open()
    await database.migrate("auto")
    yield database
    await database.close()


async def add(database: Database, *subjects: str, kind: str = "test") -> None:
    for subject in subjects:
        async with database.transaction() as tx:
            await store.add(tx, kind, subject, NOON)


async def claimed(database: Database, at: datetime = NOON, **options: tuple[str, ...]) -> Claim | None:
    async with database.transaction() as tx:
        return await store.claim(tx, "test", at, at + LEASE, **options)


async def test_the_oldest_job_is_claimed_first_and_only_once(database: Database) -> None:
    await add(database, "a", "b")
    await add(database, "c", kind="other")
    first, second = await claimed(database), await claimed(database)
    assert first is not None
    assert second is not None
    assert (first.subject, second.subject, first.failures) == ("a", "b", 0)
    assert await claimed(database) is None


async def test_a_subject_has_one_job_of_a_kind(database: Database) -> None:
    await add(database, "a")
    await add(database, "a", kind="other")
    with pytest.raises(ConstraintViolated):
        await add(database, "a")


async def test_a_lease_that_runs_out_gives_the_job_to_the_next_and_refuses_the_last(database: Database) -> None:
    await add(database, "a")
    late = await claimed(database)
    assert late is not None
    assert await claimed(database, NOON + LEASE - timedelta(seconds=1)) is None
    next_one = await claimed(database, NOON + LEASE)
    assert next_one is not None
    assert next_one.token != late.token
    for act in (
        lambda tx: store.extend(tx, late, NOON + 3 * LEASE),
        lambda tx: store.finish(tx, late),
        lambda tx: store.postpone(tx, late, NOON, 1),
    ):
        with pytest.raises(ClaimLost):
            async with database.transaction() as tx:
                await act(tx)
    async with database.transaction() as tx:
        await store.release(tx, late)
        await store.finish(tx, next_one)
    assert await claimed(database, NOON + 9 * LEASE) is None


async def test_a_job_that_is_kept_stays_with_its_worker(database: Database) -> None:
    await add(database, "a")
    held = await claimed(database)
    assert held is not None
    async with database.transaction() as tx:
        await store.extend(tx, held, NOON + 2 * LEASE)
    assert await claimed(database, NOON + LEASE) is None
    assert await claimed(database, NOON + 2 * LEASE) is not None


async def test_a_postponed_job_waits_for_its_time_and_remembers_its_failures(database: Database) -> None:
    await add(database, "a")
    held = await claimed(database)
    assert held is not None
    async with database.transaction() as tx:
        await store.postpone(tx, held, NOON + timedelta(minutes=1), 3)
        assert not await store.has_due(tx, "test", NOON)
        assert await store.has_due(tx, "test", NOON + timedelta(minutes=1))
    assert await claimed(database) is None
    again = await claimed(database, NOON + timedelta(minutes=1))
    assert again is not None
    assert again.failures == 3


async def test_a_released_job_is_anybodys_at_once(database: Database) -> None:
    await add(database, "a")
    held = await claimed(database)
    assert held is not None
    async with database.transaction() as tx:
        await store.release(tx, held)
    assert await claimed(database) is not None


async def test_a_dropped_job_is_lost_to_whoever_is_at_it(database: Database) -> None:
    await add(database, "a")
    held = await claimed(database)
    assert held is not None
    async with database.transaction() as tx:
        assert await store.drop(tx, "test", "a")
        assert not await store.drop(tx, "test", "a")
    with pytest.raises(ClaimLost):
        async with database.transaction() as tx:
            await store.extend(tx, held, NOON + LEASE)


async def test_a_subject_can_be_passed_over(database: Database) -> None:
    await add(database, "a", "b")
    second = await claimed(database, but=("a",))
    assert second is not None
    assert second.subject == "b"
    async with database.reading() as tx:
        assert not await store.has_due(tx, "test", NOON, but=("a", "b"))
        assert await store.has_due(tx, "test", NOON, but=("b",))


async def test_a_claim_of_a_clock_that_ran_ahead_keeps_nobody_off_for_long(database: Database) -> None:
    await add(database, "a")
    ahead = await claimed(database, NOON + timedelta(days=400))
    assert ahead is not None  # and then its worker died, and the clock was put right
    now = NOON + timedelta(minutes=1)
    async with database.reading() as tx:
        assert await store.has_due(tx, "test", now)
    assert await claimed(database, now) is not None
    with pytest.raises(ClaimLost):
        async with database.transaction() as tx:
            await store.extend(tx, ahead, now + LEASE)


async def test_a_job_that_waits_for_longer_than_anybody_may_ask_waits_no_more(database: Database) -> None:
    await add(database, "a")
    held = await claimed(database)
    assert held is not None
    async with database.transaction() as tx:
        await store.postpone(tx, held, NOON + timedelta(hours=23), 1)
    assert await claimed(database) is None
    assert await claimed(database, NOON - timedelta(days=400)) is not None
