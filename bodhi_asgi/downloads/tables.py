"""The table of downloads."""

from typing import Final

from sqlalchemy import JSON, BigInteger, Column, DateTime, String, Table, Text

from bodhi_asgi.db.tables import metadata

DOWNLOADS: Final = Table(
    "bodhi_downloads",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("owner_id", String(256), nullable=False),
    # Whose disk it is for; empty in rows from before there were several.
    Column("place", String(64)),
    Column("repo", String(200), nullable=False),
    Column("revision", String(255), nullable=False),
    Column("commit", String(40), nullable=False),
    Column("quant", String(64)),
    Column("filename", Text, nullable=False),
    Column("files", JSON, nullable=False),
    Column("status", String(16), nullable=False),
    Column("total_bytes", BigInteger, nullable=False),
    Column("downloaded_bytes", BigInteger, nullable=False),
    Column("bytes_per_second", BigInteger, nullable=False),
    Column("error_code", String(128)),
    Column("error", Text),
    # What is on its way is on its way once: unique while it is, and empty afterwards.
    Column("active_key", String(64), unique=True),
    Column("retry_at", DateTime(timezone=True)),
    Column("started_at", DateTime(timezone=True)),
    Column("completed_at", DateTime(timezone=True)),
    Column("archived_at", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
