"""Facts about the installation, API tokens, and the audit trail."""

from typing import TYPE_CHECKING

from sqlalchemy import JSON, BigInteger, Column, DateTime, String, Text

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    operations.create_table(
        "bodhi_facts",
        Column("name", String(64), primary_key=True),
        Column("value", Text, nullable=False),
    )
    operations.create_table(
        "bodhi_tokens",
        Column("id", String(26), primary_key=True),
        Column("owner_id", String(256), nullable=False),
        Column("name", String(100), nullable=False),
        Column("prefix", String(32), nullable=False),
        Column("hash", String(64), nullable=False),
        Column("status", String(16), nullable=False),
        Column("scopes", JSON, nullable=False),
        Column("grants", JSON, nullable=False),
        Column("expires_at", DateTime(timezone=True)),
        Column("last_used_at", DateTime(timezone=True)),
        Column("created_at", DateTime(timezone=True), nullable=False),
        Column("updated_at", DateTime(timezone=True), nullable=False),
    )
    operations.create_index("bodhi_tokens_prefix", "bodhi_tokens", ["prefix"], unique=True)
    operations.create_index("bodhi_tokens_owner", "bodhi_tokens", ["owner_id", "id"])
    operations.create_table(
        "bodhi_audit",
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
