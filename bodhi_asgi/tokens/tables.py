"""The table of tokens."""

from typing import Final

from sqlalchemy import JSON, Column, DateTime, String, Table

from bodhi_asgi.db.tables import metadata

TOKENS: Final = Table(
    "bodhi_tokens",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("owner_id", String(256), nullable=False),
    Column("name", String(100), nullable=False),
    Column("prefix", String(32), nullable=False, unique=True),
    Column("hash", String(64), nullable=False),
    Column("status", String(16), nullable=False),
    Column("scopes", JSON, nullable=False),
    Column("grants", JSON, nullable=False),
    Column("expires_at", DateTime(timezone=True)),
    Column("last_used_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
