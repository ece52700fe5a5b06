"""Facts about this installation, written once and read for ever."""

from typing import Final

from sqlalchemy import Column, String, Table, Text, insert, select

from bodhi_asgi.db.tables import metadata
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.ids import new_id

FACTS: Final = Table(
    "bodhi_facts",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("value", Text, nullable=False),
)
INSTALLATION: Final = "installation_id"
LOCK: Final = 0x626F6402


async def installation_id(tx: Transaction) -> str:
    """The id of this installation: every token ends in it. Made in the first transaction that asks."""
    known = await _read(tx)
    if known is not None:
        return known
    # Two first tokens at once, on two servers: the second one reads what the first one wrote.
    await tx.lock(LOCK)
    known = await _read(tx)
    if known is not None:
        return known
    made = new_id()
    await tx.execute(insert(FACTS).values(name=INSTALLATION, value=made))
    return made


async def _read(tx: Transaction) -> str | None:
    row = await tx.fetch_one(select(FACTS.c.value).where(FACTS.c.name == INSTALLATION))
    return None if row is None else str(row.value)
