"""The SQL of the audit trail. It only ever inserts."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from bodhi_asgi.audit.tables import AUDIT
from bodhi_asgi.audit.types import AuditRow, Outcome
from bodhi_asgi.db.transaction import Row, Transaction


async def last(tx: Transaction) -> AuditRow | None:
    """The newest row."""
    row = await tx.fetch_one(select(AUDIT).order_by(AUDIT.c.number.desc()).limit(1))
    return None if row is None else _row(row)


async def append(tx: Transaction, row: AuditRow) -> None:
    values = {name: getattr(row, name) for name in AuditRow.__dataclass_fields__}
    await tx.execute(insert(AUDIT).values(**values))


async def count(tx: Transaction) -> int:
    row = await tx.fetch_one(select(func.count().label("total")).select_from(AUDIT))
    return int(row.total) if row is not None else 0


async def newest(tx: Transaction, *, offset: int, limit: int) -> list[AuditRow]:
    return [
        _row(row)
        for row in await tx.fetch_all(select(AUDIT).order_by(AUDIT.c.number.desc()).offset(offset).limit(limit))
    ]


async def oldest_after(tx: Transaction, number: int, limit: int) -> Sequence[AuditRow]:
    """Rows in the order they were written."""
    query = select(AUDIT).where(AUDIT.c.number > number).order_by(AUDIT.c.number).limit(limit)
    return [_row(row) for row in await tx.fetch_all(query)]


def _row(row: Row) -> AuditRow:
    return AuditRow(
        number=row.number,
        at=row.at,
        caller_id=row.caller_id,
        caller_kind=row.caller_kind,
        action=row.action,
        subject=row.subject,
        outcome=Outcome(row.outcome),
        detail=row.detail,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
