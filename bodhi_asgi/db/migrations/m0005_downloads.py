"""Downloads from the hub."""

from typing import TYPE_CHECKING

from sqlalchemy import JSON, BigInteger, Column, DateTime, String, Text

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    operations.create_table(
        "bodhi_downloads",
        Column("id", String(26), primary_key=True),
        Column("owner_id", String(256), nullable=False),
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
        Column("active_key", String(64)),
        Column("retry_at", DateTime(timezone=True)),
        Column("started_at", DateTime(timezone=True)),
        Column("completed_at", DateTime(timezone=True)),
        Column("archived_at", DateTime(timezone=True)),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False),
    )
    operations.create_index("bodhi_downloads_active", "bodhi_downloads", ["active_key"], unique=True)
    operations.create_index("bodhi_downloads_status", "bodhi_downloads", ["status", "id"])
    operations.create_index("bodhi_downloads_repo", "bodhi_downloads", ["repo", "commit"])
