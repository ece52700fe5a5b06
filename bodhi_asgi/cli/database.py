"""``bodhi db``: the state of the database's migrations, and bringing it up to date."""

import click

from bodhi_asgi.cli.options import printing


@click.group()
@printing
def db() -> None:
    """Look at the database's migrations, or run them."""
