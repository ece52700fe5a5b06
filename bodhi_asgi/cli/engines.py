"""``bodhi ps`` and ``bodhi stop``: the models in memory, of every process that shares the data directory."""

import asyncio
from typing import TYPE_CHECKING

import click

from bodhi_asgi.caller import Caller
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table

if TYPE_CHECKING:
    from bodhi_asgi.formats.management.engines import LoadedModel, LoadedModels

GB = 1000**3
MB = 1000**2


@click.command()
@printing
@click.pass_obj
def ps(options: Options) -> None:
    """List the models in memory."""
    found = asyncio.run(_loaded(options))
    if options.as_json:
        print_json(found.model_dump(mode="json"))
        return
    print_table(
        ("Model", "Size", "State", "Slots", "Context", "Idle for", "Until", "Pid"),
        [_row(model) for model in found.data],
        empty="No model is in memory. A request loads the one it names.",
    )


@click.command()
@click.argument("model")
@click.option("--force", is_flag=True, help="Unload it even while it answers, which ends its answers.")
@printing
@click.pass_obj
def stop(options: Options, model: str, force: bool) -> None:
    """Unload MODEL, whichever process has loaded it. One that is not in memory is no error."""
    count = asyncio.run(_unload(options, model, force))
    if options.as_json:
        print_json({"model": model, "unloaded": count})
    elif count:
        click.echo(f"The model '{model}' is unloaded.")
    else:
        click.echo(f"The model '{model}' was not in memory.")


async def _loaded(options: Options) -> "LoadedModels":
    async with options.server() as server:
        return await server.as_caller(Caller.system()).loaded_models()


async def _unload(options: Options, model: str, force: bool) -> int:
    async with options.server() as server:
        return await server.as_caller(Caller.system()).unload_model(model, force=force)


def _row(model: "LoadedModel") -> tuple[str, ...]:
    ready = model.state == "ready"
    at_work = ready and model.idle_s is None
    return (
        model.model,
        size(model.reserved_bytes),
        "at work" if at_work else f"loading {model.progress:.0%}" if model.state == "loading" else model.state,
        f"{model.running}/{model.slots}" + (f" +{model.waiting}" if model.waiting else "") if ready else "",
        str(model.context_tokens) if ready else "",
        "" if model.idle_s is None else span(model.idle_s),
        "" if not ready or at_work else "for good" if model.expires_in_s is None else f"in {span(model.expires_in_s)}",
        str(model.pid),
    )


def size(count: int) -> str:
    """Bytes for people."""
    return f"{count / GB:.1f} GB" if count >= GB else f"{count / MB:.0f} MB"


def span(seconds: float) -> str:
    """A time for people, in its two largest units."""
    whole = round(seconds)
    for unit, length, below in (("d", 86_400, 3600), ("h", 3600, 60), ("m", 60, 1)):
        if whole >= length:
            rest = whole % length // below
            return f"{whole // length}{unit}" + (f" {rest}{'hms'['dhm'.index(unit)]}" if rest else "")
    return f"{whole}s"
