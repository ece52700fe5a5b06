"""``bodhi show``: the card of a model, told from the header of its file. No engine is started for it."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import click

from bodhi_asgi.caller import Caller
from bodhi_asgi.cli.card import Card, CardFile, card_lines
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json
from bodhi_asgi.gguf.facts import facts_of
from bodhi_asgi.gguf.fit import CONTEXT_TOKENS, fit
from bodhi_asgi.gguf.parts import parts, read_model
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid

CONTROLS: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""What a template has no use for and a terminal obeys."""

FILE: Final = click.Path(exists=True, dir_okay=False, path_type=Path)


@dataclass(frozen=True, slots=True)
class Found:
    """The file behind what was named, and what an alias says besides."""

    path: Path
    projector: Path | None = None
    name: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)


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
    from bodhi_asgi.engine.budget import default_budget
    from bodhi_asgi.models.capabilities import capabilities_of

    path = Path(model)
    found = Found(path) if path.is_file() else asyncio.run(_find(options, model))
    headers = _read(found.path)
    facts = facts_of(*headers)
    if template:
        click.echo(CONTROLS.sub("\ufffd", facts.chat_template))
        return
    eyes_path = projector or found.projector
    eyes_header = _read(eyes_path)[0] if eyes_path else None
    eyes = facts_of(eyes_header) if eyes_header else None
    budget = options.settings().engine.memory_bytes or default_budget()
    tokens = context or min(CONTEXT_TOKENS, facts.context_length or CONTEXT_TOKENS)
    files = [_file(part, found.name) for part in parts(found.path)]
    card = Card(
        facts=facts,
        name=found.name,
        capabilities=capabilities_of(facts, eyes).names,
        files=files,
        size_bytes=sum(file.size_bytes for file in files),
        projector=eyes,
        projector_file=_file(eyes_path, found.name) if eyes_path else None,
        fit=fit(headers, budget, context_tokens=tokens, projector=eyes_header),
        parameters={name: value for name, value in found.parameters.items() if name != "system_prompt"},
        settings=found.settings,
        system=str(found.parameters.get("system_prompt", "")),
    )
    if options.as_json:
        print_json({**asdict(card), "fits": card.fit is not None and card.fit.fits})
        return
    click.echo("\n".join(card_lines(card)))


async def _find(options: Options, name: str) -> Found:
    """What a request that names the model would be answered with. Raises ModelNotFound and ModelFileMissing."""
    from bodhi_asgi.models.errors import ModelFileMissing

    caller = Caller.system()
    async with options.server() as server:
        spec = (await server.services.models.resolve(caller, name)).spec
        alias = await server.services.aliases.find(caller, name)
    if spec.runner != "llama":
        raise ModelFileMissing(f"model '{name}' has no file: it is run by '{spec.runner}'", model=name)
    return Found(
        Path(spec.path),
        Path(spec.projector) if spec.projector else None,
        name,
        alias.params if alias else {},
        alias.settings if alias else {},
    )


def _file(path: Path, name: str) -> CardFile:
    """By its whole path where a ``name`` was asked for."""
    return CardFile(str(path) if name else path.name, path.stat().st_size)


def _read(path: Path) -> tuple[GgufHeader, ...]:
    try:
        return read_model(path)
    except GgufInvalid as invalid:
        raise GgufInvalid(f"'{path.name}' is no model: {invalid.message}") from None
