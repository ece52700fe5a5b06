"""``bodhi show``: the card of a model, told from the header of its file. No engine is started for it."""

import asyncio
import re
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from bodhi_asgi.caller import Caller
from bodhi_asgi.cli.card import card_lines
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json
from bodhi_asgi.gguf.fit import CONTEXT_TOKENS

if TYPE_CHECKING:
    from bodhi_asgi.models.details import ModelDetails

CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a template has no use for and a terminal obeys."""

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("model")
@click.option("--projector", type=FILE, help="The file by which the model reads images.")
@click.option(
    "--context",
    type=click.IntRange(1, 2**31),
    metavar="TOKENS",
    help=f"The context for which memory is counted; {CONTEXT_TOKENS}, or as many as the model was trained for.",
)
@click.option("--template", is_flag=True, help="Print the chat template, and nothing else.")
@printing
@click.pass_obj
def show(options: Options, model: str, projector: Path | None, context: int | None, template: bool) -> None:
    """Show what MODEL is, what it can do, and whether it fits the memory of this machine.

    MODEL is a name, or a GGUF file; of a model in several files, any of them.
    """
    from bodhi_asgi.models.details import without_places

    path = Path(model)
    if path.is_file():
        details = without_places(_of_file(options, path, projector, context))
    else:
        details = asyncio.run(_of_name(options, model, context))
        if projector is not None:
            told = _of_file(options, Path(details.files[0].name), projector, context)
            details = replace(
                told,
                name=details.name,
                parameters=details.parameters,
                settings=details.settings,
                system=details.system,
            )
    if template:
        click.echo(CONTROLS.sub("\ufffd", details.facts.chat_template))
    elif options.as_json:
        print_json({**asdict(details), "fits": details.fit is not None and details.fit.fits})
    else:
        click.echo("\n".join(card_lines(details)))


async def _of_name(options: Options, name: str, context: int | None) -> "ModelDetails":
    async with options.server() as server:
        return await server.as_caller(Caller.system()).model_details(name, context_tokens=context)


def _of_file(options: Options, path: Path, projector: Path | None, context: int | None) -> "ModelDetails":
    from bodhi_asgi.engine.budget import default_budget
    from bodhi_asgi.models.details import read_details

    budget = options.settings().engine.memory_bytes or default_budget()
    return read_details(path, projector, budget_bytes=budget, context_tokens=context)
