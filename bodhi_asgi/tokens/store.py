"""The SQL of tokens."""

from datetime import datetime
from typing import Any

from sqlalchemy import func, insert, or_, select, update

from bodhi_asgi.caller import Scope
from bodhi_asgi.db.search import has_part
from bodhi_asgi.db.transaction import Row, Transaction
from bodhi_asgi.tokens.tables import TOKENS
from bodhi_asgi.tokens.types import Token, TokenStatus
from bodhi_asgi.tokens.wire import grants_from_wire, grants_to_wire


async def add(tx: Transaction, token: Token, hash_: str) -> None:
    await tx.execute(
        insert(TOKENS).values(
            id=token.id,
            owner_id=token.owner_id,
            name=token.name,
            prefix=token.prefix,
            hash=hash_,
            status=token.status.value,
            scopes=sorted(token.scopes),
            grants=grants_to_wire(token.grants),
            expires_at=token.expires_at,
            last_used_at=None,
            created_at=token.created_at,
            updated_at=token.updated_at,
        )
    )


async def by_prefix(tx: Transaction, prefix: str) -> tuple[Token, str] | None:
    """A token and the hash of its secret."""
    row = await tx.fetch_one(select(TOKENS).where(TOKENS.c.prefix == prefix))
    return None if row is None else (_token(row), row.hash)


async def get(tx: Transaction, token_id: str, owner_id: str | None, *, to_change: bool = False) -> Token | None:
    """A token; of this owner, unless the owner does not matter. ``to_change`` it, nobody else does until we have."""
    query = select(TOKENS).where(TOKENS.c.id == token_id)
    query = query if owner_id is None else query.where(TOKENS.c.owner_id == owner_id)
    row = await tx.fetch_one(query.with_for_update() if to_change else query)
    return None if row is None else _token(row)


async def page(
    tx: Transaction,
    owner_id: str | None,
    *,
    offset: int,
    limit: int,
    search: str = "",
    status: TokenStatus | None = None,
) -> tuple[list[Token], int]:
    """Tokens from the newest on, and how many there are in all; ``search`` is part of a name or an owner."""
    asked = [
        *([TOKENS.c.owner_id == owner_id] if owner_id is not None else []),
        *([has_part(search, TOKENS.c.name, TOKENS.c.owner_id)] if search else []),
        *([TOKENS.c.status == status.value] if status is not None else []),
    ]
    rows = await tx.fetch_all(select(TOKENS).where(*asked).order_by(TOKENS.c.id.desc()).offset(offset).limit(limit))
    total = await tx.fetch_one(select(func.count().label("total")).select_from(TOKENS).where(*asked))
    return [_token(row) for row in rows], int(total.total) if total is not None else 0


async def change(tx: Transaction, token_id: str, at: datetime, **values: Any) -> bool:
    """Whether there was such a token."""
    query = update(TOKENS).where(TOKENS.c.id == token_id).values(updated_at=at, **values)
    return await tx.affected(query) == 1


async def touch(tx: Transaction, token_id: str, at: datetime, unless_since: datetime) -> None:
    """Note a use, unless one is noted that is recent enough."""
    stale = or_(TOKENS.c.last_used_at.is_(None), TOKENS.c.last_used_at <= unless_since)
    await tx.execute(update(TOKENS).where(TOKENS.c.id == token_id, stale).values(last_used_at=at))


def _token(row: Row) -> Token:
    return Token(
        id=row.id,
        owner_id=row.owner_id,
        name=row.name,
        prefix=row.prefix,
        status=TokenStatus(row.status),
        scopes=frozenset(Scope(scope) for scope in row.scopes),
        grants=grants_from_wire(row.grants),
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
