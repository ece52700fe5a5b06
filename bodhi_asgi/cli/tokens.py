"""``bodhi token``: create, list and revoke API tokens."""

from typing import Final, TypeVar

import click

from bodhi_asgi.cli.options import printing

PAGE_SIZE: Final = 100
T = TypeVar("T")


@click.group()
@printing
def token() -> None:
    """Create, list and revoke API tokens."""
