"""The model files of a machine, and what their headers told."""

from typing import TYPE_CHECKING

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Integer, String, Text

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    operations.create_table(
        "bodhi_model_files",
        Column("key", String(64), primary_key=True),
        Column("shelf", String(64), nullable=False),
        Column("repo", String(256), nullable=False),
        Column("filename", Text, nullable=False),
        Column("snapshot", String(64), nullable=False),
        Column("name", String(512), nullable=False),
        Column("long_name", String(512), nullable=False),
        Column("path", Text, nullable=False),
        Column("size_bytes", BigInteger, nullable=False),
        Column("modified_ns", BigInteger, nullable=False),
        Column("is_current", Boolean, nullable=False),
        Column("in_cache", Boolean, nullable=False),
        Column("is_projector", Boolean, nullable=False),
        Column("shards", JSON, nullable=False),
        Column("projector", Text, nullable=False),
        Column("problem", Text, nullable=False),
        Column("reading", Integer, nullable=False),
        Column("trouble", Text, nullable=False),
        Column("facts", JSON, nullable=False),
        Column("capabilities", String(256), nullable=False),
        Column("found_at", DateTime(timezone=True), nullable=False),
        Column("last_used_at", DateTime(timezone=True)),
    )
    operations.create_index("bodhi_model_files_place", "bodhi_model_files", ["shelf", "repo", "filename", "snapshot"])
