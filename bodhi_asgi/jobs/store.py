"""The SQL of jobs. A claim is one conditional update, so that of many workers who reach for a job one gets it.

Leases are compared with the clock of the machine: machines that share a database must agree on the time to within a
few seconds. A clock may be wrong and be put right, though: what lies further ahead than anybody may ask for is of such
a one, and counts as past.
"""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Final, TypeVar

from sqlalchemy import Delete, Update, delete, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.ids import new_id
from bodhi_asgi.jobs.errors import ClaimLost
from bodhi_asgi.jobs.tables import JOBS
from bodhi_asgi.jobs.types import Claim

Q = TypeVar("Q", Update, Delete)

LONGEST_LEASE: Final = timedelta(minutes=5)
LONGEST_WAIT: Final = timedelta(days=1, minutes=5)


async def add(tx: Transaction, kind: str, subject: str, now: datetime, *, place: str | None = None) -> None:
    """Have work done on ``subject``, at ``place`` or anywhere.

    Raises ConstraintViolated when it is to be done already.
    """
    values = {"kind": kind, "subject": subject, "not_before": now, "failures": 0, "created_at": now, "place": place}
    await tx.execute(insert(JOBS).values(id=new_id(), claim=None, claimed_until=None, **values))


async def drop(tx: Transaction, kind: str, subject: str) -> bool:
    """Have it done no more, whoever is at it; whether it was to be done."""
    return await tx.affected(delete(JOBS).where(JOBS.c.kind == kind, JOBS.c.subject == subject)) == 1


async def has_due(
    tx: Transaction, kind: str, now: datetime, *, but: Collection[str] = (), place: str | None = None
) -> bool:
    """Whether there is a job for somebody at ``place`` who has his hands free."""
    return await tx.fetch_one(select(JOBS.c.id).where(*_is_due(kind, now, but, place)).limit(1)) is not None


async def claim(
    tx: Transaction,
    kind: str,
    now: datetime,
    until: datetime,
    *,
    but: Collection[str] = (),
    place: str | None = None,
) -> Claim | None:
    """The oldest job that is due and that nobody holds, ours from now on; or None. Never on a subject of ``but``.

    Without a ``place``, only those that can be done anywhere.
    """
    due = _is_due(kind, now, but, place)
    # In PostgreSQL, rows that others are just claiming are passed over; in SQLite there are no others meanwhile.
    free = select(JOBS.c.id).where(*due).order_by(JOBS.c.id).limit(1).with_for_update(skip_locked=True)
    token = new_id()
    taken = update(JOBS).where(JOBS.c.id == free.scalar_subquery(), *due)
    row = await tx.fetch_one(
        taken.values(claim=token, claimed_until=until).returning(JOBS.c.id, JOBS.c.subject, JOBS.c.failures)
    )
    return None if row is None else Claim(row.id, row.subject, token, row.failures)


async def extend(tx: Transaction, held: Claim, until: datetime) -> None:
    """Say that we are still at it, for five minutes at most. Raises ClaimLost."""
    await _held(tx, _own(update(JOBS), held).values(claimed_until=until))


async def is_held(tx: Transaction, held: Claim) -> bool:
    """Whether it is still ours."""
    query = select(JOBS.c.id).where(JOBS.c.id == held.job_id, JOBS.c.claim == held.token)
    return await tx.fetch_one(query) is not None


async def finish(tx: Transaction, held: Claim) -> None:
    """It is done. Raises ClaimLost, with which everything else in the transaction is rolled back."""
    await _held(tx, _own(delete(JOBS), held))


async def postpone(tx: Transaction, held: Claim, not_before: datetime, failures: int) -> None:
    """Give it back, to be taken up again at ``not_before``, in a day at most. Raises ClaimLost."""
    values = {"claim": None, "claimed_until": None, "not_before": not_before, "failures": failures}
    await _held(tx, _own(update(JOBS), held).values(**values))


async def release(tx: Transaction, held: Claim) -> None:
    """Give it back as it was, if it is still ours."""
    await tx.execute(_own(update(JOBS), held).values(claim=None, claimed_until=None))


def _is_due(kind: str, now: datetime, but: Collection[str], place: str | None) -> tuple[ColumnElement[bool], ...]:
    until, begin = JOBS.c.claimed_until, JOBS.c.not_before
    is_free = or_(until.is_(None), until <= now, until > now + LONGEST_LEASE)
    is_time = or_(begin <= now, begin > now + LONGEST_WAIT)
    others = (JOBS.c.subject.not_in(sorted(but)),) if but else ()
    is_near = JOBS.c.place.is_(None) if place is None else or_(JOBS.c.place.is_(None), JOBS.c.place == place)
    return JOBS.c.kind == kind, is_time, is_free, is_near, *others


def _own(query: Q, held: Claim) -> Q:
    return query.where(JOBS.c.id == held.job_id, JOBS.c.claim == held.token)


async def _held(tx: Transaction, query: Update | Delete) -> None:
    if await tx.affected(query) != 1:
        raise ClaimLost("the job is not ours any more")
