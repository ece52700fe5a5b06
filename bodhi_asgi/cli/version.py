"""``bodhi version``."""

import platform

import click

from bodhi_asgi import __version__
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json


@click.command()
@printing
@click.pass_obj
def version(options: Options) -> None:
    """Print the version."""
    if options.as_json:
        print_json({"version": __version__, "python": platform.python_version(), "platform": platform.platform()})
    else:
        click.echo(f"bodhi_asgi {__version__} on Python {platform.python_version()}")
