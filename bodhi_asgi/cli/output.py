"""What commands print: a table for people, tab-separated lines for a pipe, JSON when asked for."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import click


def print_json(data: Any) -> None:
    """One JSON document, indented; dates and other values as text."""
    click.echo(json.dumps(data, indent=2, ensure_ascii=False, default=str))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """Rows under their headings. ``empty`` is the sentence for a person when there are none."""
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        for line in [[column.lower() for column in columns], *cells]:
            click.echo("\t".join(line))
        return
    if not cells:
        click.echo(empty)
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(*columns, box=None, header_style="bold", pad_edge=False)
    for line in cells:
        table.add_row(*(Text(cell, overflow="fold") for cell in line))
    Console().print(table)
