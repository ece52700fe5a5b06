"""``bodhi run MODEL PROMPT``: one question, one answer on stdout."""

import asyncio
import sys
from typing import Any

import click

from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json
from bodhi_asgi.cli.sampling import fields, sampling


@click.command()
@click.argument("model")
@click.argument("prompt")
@click.option("--system", metavar="TEXT", help="What the model should know or be before the question.")
@sampling
@printing
@click.pass_obj
def run(options: Options, /, model: str, prompt: str, system: str | None, **given: Any) -> None:
    """Ask MODEL the PROMPT and print its answer as it comes. A PROMPT of - is read from stdin."""
    if prompt == "-":
        prompt = sys.stdin.read()
    messages = [{"role": "system", "content": system}] if system else []
    request = {"model": model, "messages": [*messages, {"role": "user", "content": prompt}], **fields(given)}
    asyncio.run(_whole(options, request) if options.as_json else _streamed(options, request))


async def _whole(options: Options, request: dict[str, Any]) -> None:
    from bodhi_asgi.caller import Caller

    async with options.server() as server:
        reply = await server.as_caller(Caller.system()).chat_completion(request, stream=False)
    print_json(reply.model_dump(mode="json"))


async def _streamed(options: Options, request: dict[str, Any]) -> None:
    from bodhi_asgi.caller import Caller

    async with (
        options.server() as server,
        await server.as_caller(Caller.system()).chat_completion(request, stream=True) as answer,
    ):
        async for chunk in answer:
            for choice in chunk.choices:
                click.echo(choice.delta.content or "", nl=False)
    click.echo()
