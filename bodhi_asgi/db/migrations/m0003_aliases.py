"""Aliases of models."""

from typing import TYPE_CHECKING

from sqlalchemy import JSON, Column, DateTime, Float, String

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    operations.create_table(
        "bodhi_aliases",
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
    )
    operations.create_index("bodhi_aliases_name", "bodhi_aliases", ["name", "owner_id"], unique=True)
    operations.create_index("bodhi_aliases_file", "bodhi_aliases", ["repo", "filename"])
