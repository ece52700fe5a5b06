"""The table of model files: those of one ``shelf``, which is a set of folders on one machine, are one machine's."""

from typing import Final

from sqlalchemy import JSON, BigInteger, Boolean, Column, DateTime, Integer, String, Table, Text

from bodhi_asgi.db.tables import metadata

MODEL_FILES: Final = Table(
    "bodhi_model_files",
    metadata,
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
