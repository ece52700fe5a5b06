"""``bodhi serve``: the server on its own, over HTTP."""

import logging
from typing import TYPE_CHECKING, Final

import click

from bodhi_asgi.cli.options import Options, shared

if TYPE_CHECKING:
    from bodhi_asgi.builder import BodhiServerBuilder

LOG_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def _named(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """``name=path`` texts as a mapping, split at the first equals sign."""
    pairs = [(value, *value.partition("=")) for value in values]
    for value, name, _, path in pairs:
        if not (name and path):
            raise click.BadParameter(f"'{value}' is not of the form name=path", context, parameter)
    return {name: path for _, name, _, path in pairs}


@click.command()
@click.option("--host", metavar="ADDRESS", help="The address to listen on (127.0.0.1 unless set otherwise).")
@click.option("--port", type=click.IntRange(0, 65535), help="The port (1135 unless set otherwise); 0 takes a free one.")
@click.option(
    "--model", "models", multiple=True, metavar="NAME=PATH", callback=_named, help="Offer a model (repeatable)."
)
@click.option("--demo/--no-demo", default=None, help="Whether the embedded demo model is offered.")
@shared
@click.pass_obj
def serve(options: Options, host: str | None, port: int | None, models: dict[str, str], demo: bool | None) -> None:
    """Serve models over HTTP until Ctrl-C or SIGTERM."""
    config = options.settings()
    set_host, _, set_port = config.bind_address.rpartition(":")
    if host is not None and ":" in host and not host.startswith("["):
        host = f"[{host}]"
    address = f"{set_host if host is None else host}:{set_port if port is None else port}"
    # What libraries report of themselves is not what an operator asked for.
    logging.basicConfig(level=logging.WARNING, format=LOG_LINE)
    logging.getLogger("bodhi_asgi").setLevel(config.log_level.upper())
    builder = options.builder(
        models={**config.models, **models} if models else None,
        demo=demo,
        bind_address=None if address == config.bind_address else address,
    )
    from bodhi_asgi.cli.listening import run

    run(_serve(builder))


async def _serve(builder: "BodhiServerBuilder") -> None:
    from bodhi_asgi.cli.listening import listening, told_to_stop

    async with listening(builder) as server:
        with told_to_stop() as told:
            click.echo(f"Serving on http://{server.address} (Ctrl-C stops)", err=True)
            await told.wait()
        click.echo("Stopping.", err=True)
