"""The audit trail: a chain that only grows, written with what it tells of, and read by who may."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import delete, update

from bodhi_asgi.audit.service import REFUSAL_EVERY_S, REFUSALS_REMEMBERED, AuditService
from bodhi_asgi.audit.tables import AUDIT
from bodhi_asgi.audit.types import Outcome
from bodhi_asgi.caller import Caller, Forbidden, Scope
from bodhi_asgi.clock import StillClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.errors import Invalid

READER = Caller.user("rita", scopes=(Scope.AUDIT_READ,))
ANN = Caller.user("ann")


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    database = Database(url, timeout_s=5)
    await database.open()
    await database.migrate("auto")
    yield database
    await database.close()


@pytest.fixture
def audit(database: Database, clock: StillClock) -> AuditService:
    return AuditService(database=database, clock=clock)


async def write(database: Database, audit: AuditService, *actions: str) -> None:
    for action in actions:
        async with database.transaction() as tx:
            await audit.record(tx, ANN, action, subject="thing", detail={"n": 1, "words": ["é", None, 1.5]})


async def test_rows_are_numbered_chained_and_read_newest_first(database: Database, audit: AuditService) -> None:
    await write(database, audit, "one", "two", "three")
    page = await audit.list(READER, page=1, page_size=2)
    assert (page.total, [(row.number, row.action) for row in page.data]) == (3, [(3, "three"), (2, "two")])
    assert page.data[0].previous_hash == page.data[1].hash
    assert page.data[0].detail == {"n": 1, "words": ["é", None, 1.5]}
    assert (page.data[0].caller_id, page.data[0].outcome) == ("host:ann", Outcome.DONE)
    assert [row.action for row in (await audit.list(READER, page=2, page_size=2)).data] == ["one"]
    for search, found in (
        ("T", ["three", "two", "one"]),
        ("TW", ["two"]),
        ("host:ann", ["three", "two", "one"]),
        ("%", []),
    ):
        page = await audit.list(READER, search=search, outcome="done")
        assert ([row.action for row in page.data], page.total) == (found, len(found)), search
    assert (await audit.list(READER, outcome=Outcome.REFUSED)).total == 0
    for wrong in ({"outcome": "perhaps"}, {"search": "\x00"}):
        with pytest.raises(Invalid, match=min(wrong)):
            await audit.list(READER, **wrong)  # type: ignore[arg-type]
    assert await audit.verify_chain() is None


@pytest.mark.parametrize(
    "tampering",
    [
        update(AUDIT).where(AUDIT.c.number == 2).values(action="nothing"),
        update(AUDIT).where(AUDIT.c.number == 2).values(detail={}),
        delete(AUDIT).where(AUDIT.c.number == 2),
    ],
)
async def test_a_row_that_was_changed_or_taken_out_is_found(
    database: Database, audit: AuditService, tampering: object
) -> None:
    await write(database, audit, "one", "two", "three")
    async with database.transaction() as tx:
        await tx.execute(tampering)  # type: ignore[arg-type]
    assert await audit.verify_chain() in (2, 3)


async def test_what_is_rolled_back_leaves_no_row(database: Database, audit: AuditService) -> None:
    await write(database, audit, "one")
    with pytest.raises(RuntimeError, match="changed my mind"):
        async with database.transaction() as tx:
            await audit.record(tx, ANN, "two")
            raise RuntimeError("changed my mind")
    await write(database, audit, "three")
    assert [row.action for row in (await audit.list(READER)).data] == ["three", "one"]
    assert await audit.verify_chain() is None


async def test_who_may_not_read_it_is_refused_and_that_is_written(audit: AuditService) -> None:
    for _ in range(2):
        with pytest.raises(Forbidden):
            await audit.list(ANN)
    (row,) = (await audit.list(READER)).data
    assert (row.caller_id, row.action, row.outcome) == ("host:ann", "audit.list", Outcome.REFUSED)


async def test_the_same_refusal_is_written_once_a_minute(audit: AuditService, clock: StillClock) -> None:
    for _ in range(5):
        await audit.refused(ANN, "token.create")
    await audit.refused(READER, "token.create")
    await audit.refused(ANN, "token.create", subject="another")
    clock.advance(REFUSAL_EVERY_S)
    await audit.refused(ANN, "token.create")
    rows = (await audit.list(READER)).data
    assert [(row.caller_id, row.subject) for row in reversed(rows)] == [
        ("host:ann", ""),
        ("host:rita", ""),
        ("host:ann", "another"),
        ("host:ann", ""),
    ]
    assert {row.outcome for row in rows} == {Outcome.REFUSED}


async def test_refusals_are_remembered_within_a_bound(audit: AuditService) -> None:
    audit._refusals.update({("x", "y", str(n)): audit._clock.monotonic() for n in range(REFUSALS_REMEMBERED)})
    await audit.refused(ANN, "token.create")
    assert len(audit._refusals) == REFUSALS_REMEMBERED
    assert ("x", "y", "0") not in audit._refusals


async def test_who_may_not_read_it_does_not(audit: AuditService) -> None:
    with pytest.raises(Forbidden):
        await audit.list(ANN)


@pytest.mark.parametrize(
    ("page", "size", "param"), [(0, 30, "page"), (10**7, 30, "page"), (1, 0, "page_size"), (1, 101, "page_size")]
)
async def test_pages_have_limits(audit: AuditService, page: int, size: int, param: str) -> None:
    with pytest.raises(Invalid) as refused:
        await audit.list(READER, page=page, page_size=size)
    assert refused.value.param == param


async def test_long_identities_are_cut_and_not_refused(database: Database, audit: AuditService) -> None:
    async with database.transaction() as tx:
        await audit.record(tx, Caller.user("x" * 1000), "one", subject="y" * 1000)
    (row,) = (await audit.list(READER)).data
    assert (len(row.caller_id), len(row.subject)) == (256, 256)
    assert await audit.verify_chain() is None
