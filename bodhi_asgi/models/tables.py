"""The table of aliases."""

from typing import Final

from sqlalchemy import JSON, Column, DateTime, Float, String, Table, UniqueConstraint

from bodhi_asgi.db.tables import metadata

ALIASES: Final = Table(
    "bodhi_aliases",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("owner_id", String(256), nullable=False),
    Column("name", String(128), nullable=False),
    Column("repo", String(200), nullable=False),
    Column("filename", String(1024), nullable=False),
    Column("snapshot", String(64), nullable=False),
    Column("params", JSON, nullable=False),
    Column("settings", JSON, nullable=False),
    Column("keep_alive_s", Float),
    Column("created_at", DateTime(timezone=True), nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    UniqueConstraint("owner_id", "name", name="bodhi_aliases_name"),
)
