"""The SQL of aliases."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import delete, func, insert, select, update

from bodhi_asgi.db.transaction import Row, Transaction
from bodhi_asgi.models.tables import ALIASES
from bodhi_asgi.models.types import Alias, FileReference

SHARED = ""
"""The owner of what the application shares with all its users."""


async def add(tx: Transaction, alias: Alias) -> None:
    await tx.execute(insert(ALIASES).values(id=alias.id, created_at=alias.created_at, **_values(alias)))


async def change(tx: Transaction, alias: Alias) -> None:
    await tx.execute(update(ALIASES).where(ALIASES.c.id == alias.id).values(**_values(alias)))


async def remove(tx: Transaction, alias_id: str) -> None:
    await tx.execute(delete(ALIASES).where(ALIASES.c.id == alias_id))


async def get(tx: Transaction, alias_id: str, owner_id: str) -> Alias | None:
    """An alias of this owner, or one that is shared."""
    row = await tx.fetch_one(select(ALIASES).where(ALIASES.c.id == alias_id, seen_by(owner_id)))
    return None if row is None else alias_of(row)


async def by_ids(tx: Transaction, ids: Sequence[str]) -> dict[str, Alias]:
    """Aliases by their ids."""
    rows = await tx.fetch_all(select(ALIASES).where(ALIASES.c.id.in_(ids))) if ids else []
    return {row.id: alias_of(row) for row in rows}


async def named(tx: Transaction, name: str, owner_id: str) -> Alias | None:
    """The owner's alias of this name; the shared one, when there is no own."""
    # The owner of what is shared is empty, which comes after everybody else.
    query = select(ALIASES).where(ALIASES.c.name == name, seen_by(owner_id)).order_by(ALIASES.c.owner_id.desc())
    row = await tx.fetch_one(query.limit(1))
    return None if row is None else alias_of(row)


async def count(tx: Transaction, owner_id: str) -> int:
    """How many aliases the owner has."""
    row = await tx.fetch_one(select(func.count().label("total")).where(ALIASES.c.owner_id == owner_id))
    return 0 if row is None else int(row.total)


async def seen(tx: Transaction, owner_id: str) -> list[Alias]:
    """Every alias that the owner sees, own ones first."""
    rows = await tx.fetch_all(select(ALIASES).where(seen_by(owner_id)).order_by(ALIASES.c.owner_id.desc()))
    return [alias_of(row) for row in rows]


async def of_repo(tx: Transaction, repo: str) -> list[Alias]:
    """Everybody's aliases that stand for files of the repository, by name."""
    rows = await tx.fetch_all(select(ALIASES).where(ALIASES.c.repo == repo).order_by(ALIASES.c.name))
    return [alias_of(row) for row in rows]


def seen_by(owner_id: str) -> Any:
    """The condition that an alias is the owner's or shared."""
    return ALIASES.c.owner_id.in_({owner_id, SHARED})


def alias_of(row: Row) -> Alias:
    return Alias(
        id=row.id,
        owner_id=row.owner_id,
        name=row.name,
        file=FileReference(row.repo, row.filename, row.snapshot),
        params=row.params,
        settings=row.settings,
        keep_alive_s=row.keep_alive_s,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _values(alias: Alias) -> dict[str, Any]:
    return {
        "owner_id": alias.owner_id,
        "name": alias.name,
        "repo": alias.file.repo,
        "filename": alias.file.filename,
        "snapshot": alias.file.snapshot,
        "params": dict(alias.params),
        "settings": dict(alias.settings),
        "keep_alive_s": alias.keep_alive_s,
        "updated_at": alias.updated_at,
    }
