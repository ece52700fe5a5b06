"""``bodhi db``: the state of the database's migrations, and bringing it up to date.

These work on the database alone, because a server with ``migrations = "check"`` does not start on an old one.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import click

from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table

if TYPE_CHECKING:
    from bodhi_asgi.db.database import Database
    from bodhi_asgi.db.migrations.runner import MigrationStatus


@click.group()
@printing
def db() -> None:
    """Look at the database's migrations, or run them."""


@db.command()
@printing
@click.pass_obj
def status(options: Options) -> None:
    """Show each migration and when it was run."""
    show(options, asyncio.run(_status(options)))


@db.command()
@printing
@click.pass_obj
def upgrade(options: Options) -> None:
    """Run the migrations that are missing. Running none is no error."""
    before, after = asyncio.run(_upgrade(options))
    if options.as_json:
        show(options, after)
        return
    ran = sum(step.applied_at is not None for step in after) - sum(step.applied_at is not None for step in before)
    click.echo(f"Ran {ran} migration{'s' * (ran != 1)}; the database is up to date.")


def show(options: Options, steps: "list[MigrationStatus]") -> None:
    """The migrations as JSON or as a table."""
    rows: list[dict[str, Any]] = [
        {
            "number": step.number,
            "name": step.name,
            "applied_at": step.applied_at and step.applied_at.isoformat(timespec="seconds"),
        }
        for step in steps
    ]
    if options.as_json:
        print_json(rows)
        return
    cells = [(row["number"], row["name"], row["applied_at"] or "missing") for row in rows]
    print_table(("Number", "Migration", "Applied"), cells, empty="There are no migrations.")


async def _status(options: Options) -> "list[MigrationStatus]":
    async with opened(options) as database:
        return await database.migration_status()


async def _upgrade(options: Options) -> "tuple[list[MigrationStatus], list[MigrationStatus]]":
    async with opened(options) as database:
        before = await database.migration_status()
        await database.migrate("auto")
        return before, await database.migration_status()


@asynccontextmanager
async def opened(options: Options) -> "AsyncIterator[Database]":
    """The configured database, open, and nothing else of the server."""
    from bodhi_asgi.db.database import Database
    from bodhi_asgi.services import prepare_data_dir

    config = options.settings()
    prepare_data_dir(config.data_dir)
    database = Database(
        config.resolved_database_url,
        pool_size=config.database.pool_size,
        timeout_s=config.database.timeout_s,
        schema_name=config.database.schema_name,
    )
    try:
        await database.open()
        yield database
    finally:
        await database.close()
