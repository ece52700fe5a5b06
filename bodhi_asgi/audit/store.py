"""The SQL of the audit trail. It only ever inserts."""

from collections.abc import Sequence

from sqlalchemy import func, insert, select

from bodhi_asgi.audit.tables import AUDIT
from bodhi_asgi.audit.types import AuditRow, Outcome
from bodhi_asgi.db.search import has_part
from bodhi_asgi.db.transaction import Row, Transaction


async def last(tx: Transaction) -> AuditRow | None:
    """The newest row."""
    row = await tx.fetch_one(select(AUDIT).order_by(AUDIT.c.number.desc()).limit(1))
    return None if row is None else _row(row)


async def append(tx: Transaction, row: AuditRow) -> None:
    values = {name: getattr(row, name) for name in AuditRow.__dataclass_fields__}
    await tx.execute(insert(AUDIT).values(**values))


async def newest(
    tx: Transaction, *, offset: int, limit: int, search: str = "", outcome: Outcome | None = None
) -> tuple[list[AuditRow], int]:
    """Rows from the newest on, and how many there are in all; ``search`` is part of a caller, action or subject."""
    asked = [
        *([has_part(search, AUDIT.c.caller_id, AUDIT.c.action, AUDIT.c.subject)] if search else []),
        *([AUDIT.c.outcome == outcome.value] if outcome is not None else []),
    ]
    rows = await tx.fetch_all(select(AUDIT).where(*asked).order_by(AUDIT.c.number.desc()).offset(offset).limit(limit))
    total = await tx.fetch_one(select(func.count().label("total")).select_from(AUDIT).where(*asked))
    return [_row(row) for row in rows], int(total.total) if total is not None else 0


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
