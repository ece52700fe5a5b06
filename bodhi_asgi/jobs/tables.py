"""The table of jobs. A row is work that is still to be done; it goes when the work is done or not wanted any more."""

from typing import Final

from sqlalchemy import Column, DateTime, Integer, String, Table, UniqueConstraint

from bodhi_asgi.db.tables import metadata

JOBS: Final = Table(
    "bodhi_jobs",
    metadata,
    Column("id", String(26), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("subject", String(64), nullable=False),
    Column("not_before", DateTime(timezone=True), nullable=False),
    Column("failures", Integer, nullable=False),
    Column("claim", String(26)),
    Column("claimed_until", DateTime(timezone=True)),
    Column("created_at", DateTime(timezone=True), nullable=False),
    # Where it is to be done, by those who work there; empty is anywhere.
    Column("place", String(64)),
    UniqueConstraint("kind", "subject", name="bodhi_jobs_subject"),
)
