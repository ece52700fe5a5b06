"""Durable work."""

from typing import TYPE_CHECKING

from sqlalchemy import Column, DateTime, Integer, String

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    operations.create_table(
        "bodhi_jobs",
        Column("id", String(26), primary_key=True),
        Column("kind", String(32), nullable=False),
        Column("subject", String(64), nullable=False),
        Column("not_before", DateTime(timezone=True), nullable=False),
        Column("failures", Integer, nullable=False),
        Column("claim", String(26)),
        Column("claimed_until", DateTime(timezone=True)),
        Column("created_at", DateTime(timezone=True), nullable=False),
    )
    operations.create_index("bodhi_jobs_subject", "bodhi_jobs", ["kind", "subject"], unique=True)
    operations.create_index("bodhi_jobs_due", "bodhi_jobs", ["kind", "not_before"])
