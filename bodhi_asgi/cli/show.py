"""``bodhi show``: the card of a model file, told from its header. No server and no engine is started for it."""

import re
from dataclasses import asdict
from pathlib import Path

import click

from bodhi_asgi.cli.card import Card, card_lines
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.fit import CONTEXT_TOKENS, fit
from bodhi_asgi.gguf.parts import parts, read_model
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid

CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a template has no use for and a terminal obeys."""

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.argument("file", type=FILE)
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
def show(options: Options, file: Path, projector: Path | None, context: int | None, template: bool) -> None:
    """Show what the GGUF file FILE holds, and whether it fits the memory of this machine.

    Of a model in several files, FILE is the first.
    """
    from bodhi_asgi.engine.budget import default_budget
    from bodhi_asgi.models.capabilities import capabilities_of

    headers = _read(file)
    facts = facts_of(*headers)
    if template:
        click.echo(CONTROLS.sub("\ufffd", facts.chat_template))
        return
    eyes = facts_of(*_read(projector)) if projector else None
    budget = options.settings().engine.memory_bytes or default_budget()
    files = parts(file)
    card = Card(
        facts=facts,
        capabilities=capabilities_of(facts, eyes).names,
        files=[part.name for part in files],
        size_bytes=sum(part.stat().st_size for part in files),
        projector=eyes,
        fit=fit(headers, budget, context_tokens=context or min(CONTEXT_TOKENS, facts.context_length or CONTEXT_TOKENS)),
    )
    if options.as_json:
        print_json({**asdict(card), "fits": card.fit is not None and card.fit.fits})
        return
    click.echo("\n".join(card_lines(card)))


def _read(path: Path) -> tuple[GgufHeader, ...]:
    try:
        return read_model(path)
    except GgufInvalid as invalid:
        raise GgufInvalid(f"'{path.name}' is no model: {invalid.message}") from None
