"""The verbs of the audit trail: record in the verb's own transaction, list, and verify the chain.

Repeated refusals of the same thing to the same caller are written once a minute, so that nobody can fill the disk by
being refused.
"""

import hashlib
from collections import OrderedDict
from typing import Final

import orjson

from bodhi_asgi.audit import store
from bodhi_asgi.audit.types import AuditRow, Outcome
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.clock import Clock
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.search import check_search, one_of
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.errors import Invalid
from bodhi_asgi.types import JSONObject, Page

GENESIS: Final = "0" * 64
REFUSAL_EVERY_S: Final = 60.0
REFUSALS_REMEMBERED: Final = 4096
MAX_PAGE_SIZE: Final = 100
CHAIN_BATCH: Final = 500
LOCK: Final = 0x626F6401


class AuditService:
    """Who did what."""

    def __init__(self, *, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._refusals: OrderedDict[tuple[str, str, str], float] = OrderedDict()

    async def record(
        self,
        tx: Transaction,
        caller: Caller,
        action: str,
        *,
        subject: str = "",
        outcome: Outcome = Outcome.DONE,
        detail: JSONObject | None = None,
    ) -> None:
        """Write a row in the transaction of the change it tells of."""
        # The chain has one end: whoever writes next waits for this transaction.
        await tx.lock(LOCK)
        before = await store.last(tx)
        number = 1 if before is None else before.number + 1
        # Whole milliseconds: what the hash covers must come back from every database as it went in.
        at = self._clock.now()
        at = at.replace(microsecond=at.microsecond // 1000 * 1000)
        row = AuditRow(
            number=number,
            at=at,
            caller_id=caller.id[:256],
            caller_kind=str(caller.kind),
            action=action,
            subject=subject[:256],
            outcome=outcome,
            detail=detail or {},
            previous_hash=GENESIS if before is None else before.hash,
            hash="",
        )
        await store.append(tx, _sealed(row))

    async def refused(self, caller: Caller, action: str, *, subject: str = "") -> None:
        """Write that something was refused, in a transaction of its own; once a minute for the same refusal."""
        key = (caller.id, action, subject)
        now = self._clock.monotonic()
        before = self._refusals.get(key)
        if before is not None and now - before < REFUSAL_EVERY_S:
            return
        self._refusals[key] = now
        self._refusals.move_to_end(key)
        while len(self._refusals) > REFUSALS_REMEMBERED:
            self._refusals.popitem(last=False)
        async with self._database.transaction() as tx:
            await self.record(tx, caller, action, subject=subject, outcome=Outcome.REFUSED)

    async def list(
        self,
        caller: Caller,
        *,
        page: int = 1,
        page_size: int = 30,
        search: str = "",
        outcome: Outcome | str | None = None,
    ) -> Page[AuditRow]:
        """The newest rows first, at most 100 a page. Needs ``audit:read``.

        ``search`` is part of a caller, an action or a subject. Raises Invalid naming the parameter.
        """
        if Scope.AUDIT_READ not in caller.scopes:
            await self.refused(caller, "audit.list")
        caller.require(Scope.AUDIT_READ)
        check_page(page, page_size)
        check_search(search)
        wanted = one_of(Outcome, outcome, "outcome")
        offset = (page - 1) * page_size
        async with self._database.reading() as tx:
            rows, total = await store.newest(tx, offset=offset, limit=page_size, search=search, outcome=wanted)
        return Page(rows, total, page, page_size)

    async def verify_chain(self) -> int | None:
        """The number of the first row that does not follow from the one before, or None when all do."""
        number, previous_hash = 0, GENESIS
        async with self._database.reading() as tx:
            while rows := await store.oldest_after(tx, number, CHAIN_BATCH):
                for row in rows:
                    if row.number != number + 1 or row.previous_hash != previous_hash or row != _sealed(row):
                        return row.number
                    number, previous_hash = row.number, row.hash
        return None


def check_page(page: int, page_size: int) -> None:
    """Raise Invalid unless the page exists in principle."""
    if not 1 <= page <= 1_000_000:
        raise Invalid(f"'page' is {page}: from 1 to 1000000 is accepted", param="page")
    if not 1 <= page_size <= MAX_PAGE_SIZE:
        raise Invalid(f"'page_size' is {page_size}: from 1 to {MAX_PAGE_SIZE} is accepted", param="page_size")


def _sealed(row: AuditRow) -> AuditRow:
    """The row with the hash of everything else in it."""
    values = {name: getattr(row, name) for name in AuditRow.__dataclass_fields__ if name != "hash"}
    content = orjson.dumps(values, option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
    return AuditRow(**values, hash=hashlib.sha256(content).hexdigest())
