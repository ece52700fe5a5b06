"""The table of the audit trail."""

from typing import Final

from sqlalchemy import JSON, BigInteger, Column, DateTime, String, Table

from bodhi_asgi.db.tables import metadata

AUDIT: Final = Table(
    "bodhi_audit",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True), nullable=False),
    Column("caller_id", String(256), nullable=False),
    Column("caller_kind", String(16), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject", String(256), nullable=False),
    Column("outcome", String(16), nullable=False),
    Column("detail", JSON, nullable=False),
    Column("previous_hash", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
)
