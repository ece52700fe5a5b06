"""``bodhi settings``: every setting, its value, and where the value comes from."""

import click

from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table


@click.command()
@printing
@click.pass_obj
def settings(options: Options) -> None:
    """Show each setting with its value and origin."""
    rows = options.settings().rows()
    if options.as_json:
        print_json(
            [
                {
                    "name": row.name,
                    "value": row.value,
                    "origin": row.origin,
                    "default": row.default,
                    "env": row.env,
                    "description": row.description,
                }
                for row in rows
            ]
        )
        return
    print_table(
        ("Setting", "Value", "Origin", "Environment"),
        [(row.name, row.value, row.origin, row.env) for row in rows],
        empty="There are no settings.",
    )
