"""``bodhi models``: the models this configuration offers."""

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table

if TYPE_CHECKING:
    from bodhi_asgi.formats.openai_models import ModelList


@click.command()
@printing
@click.pass_obj
def models(options: Options) -> None:
    """List the models."""
    answer = asyncio.run(_models(options))
    if options.as_json:
        print_json(answer.model_dump(mode="json"))
        return
    rows = [(model.id, model.owned_by, _day(model.created)) for model in answer.data]
    print_table(
        ("Model", "Owner", "Since"), rows, empty="There are no models. Name one: --model name=path/to/file.gguf"
    )


async def _models(options: Options) -> "ModelList":
    from bodhi_asgi.caller import Caller

    async with options.server() as server:
        return await server.as_caller(Caller.system()).list_models()


def _day(unix_s: int) -> str:
    return datetime.fromtimestamp(unix_s, UTC).date().isoformat() if unix_s else ""
