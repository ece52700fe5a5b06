"""Where a download is to be done: machines that share a database have disks of their own."""

from typing import TYPE_CHECKING

from sqlalchemy import Column, String

if TYPE_CHECKING:
    from alembic.operations import Operations


def upgrade(operations: "Operations") -> None:
    operations.add_column("bodhi_jobs", Column("place", String(64)))
    operations.add_column("bodhi_downloads", Column("place", String(64)))
