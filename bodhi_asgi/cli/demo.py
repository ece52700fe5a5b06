"""``bodhi demo``: a throw-away server with the demo model, a fresh token, and a curl that works as printed."""

import asyncio
import json
import shutil
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import click

from bodhi_asgi.cli.options import Options, shared
from bodhi_asgi.errors import Unavailable

if TYPE_CHECKING:
    from bodhi_asgi.server import BodhiServer

PORTS_TRIED: Final = 20
ANSWERS_WITHIN_S: Final = 120
QUESTION: Final = "What is the capital of France?"
CURL: Final = """\
curl -sS -N http://{address}/v1/chat/completions \\
  -H 'Authorization: Bearer {token}' \\
  -H 'Content-Type: application/json' \\
  -d '{body}'"""


class DemoFailed(Unavailable):
    """The demo's own question was not answered."""

    code = "demo_failed"


@click.command()
@click.option(
    "--port", type=click.IntRange(1, 65535), default=1135, show_default=True, help="The port; a taken one is skipped."
)
@click.option("--check", is_flag=True, help="Run the printed curl, and leave with its result.")
@shared
@click.pass_obj
def demo(options: Options, port: int, check: bool) -> None:
    """Serve the demo model from an empty data directory that is removed at the end."""
    from bodhi_asgi.cli.listening import run

    with TemporaryDirectory(prefix="bodhi-demo-") as folder:
        run(_demo(options, folder, port, check))


async def _demo(options: Options, folder: str, port: int, check: bool) -> None:
    from bodhi_asgi.cli.listening import listening, told_to_stop
    from bodhi_asgi.http.listener import PortInUse

    for candidate in range(port, port + PORTS_TRIED):
        # Every place that keeps something is named: a demo touches nobody's data, whatever the environment says.
        builder = options.builder(
            data_dir=folder,
            database_url=f"sqlite:///{folder}/bodhi.db",
            migrations="auto",
            models={},
            demo=True,
            bind_address=f"127.0.0.1:{candidate}",
        )
        try:
            async with listening(builder) as server:
                with told_to_stop() as told:
                    curl = await _curl(server)
                    click.echo(f"The demo model answers on http://{server.address}\n\n{curl}\n")
                    if check:
                        await _run(curl)
                    else:
                        click.echo("Ctrl-C stops the server and removes its data.")
                        await told.wait()
                return
        except PortInUse:
            click.echo(f"Port {candidate} is taken; trying {candidate + 1}.", err=True)
    raise DemoFailed(f"none of the ports {port} to {port + PORTS_TRIED - 1} is free; choose another with --port")


async def _curl(server: "BodhiServer") -> str:
    from bodhi_asgi.caller import Caller, Grants

    bodhi = server.as_caller(Caller.system())
    created = await bodhi.create_api_token("demo", grants=Grants(models=frozenset({"demo"})), expires_in_days=1)
    body = {"model": "demo", "stream": True, "temperature": 0, "messages": [{"role": "user", "content": QUESTION}]}
    return CURL.format(address=server.address, token=created.token.reveal(), body=json.dumps(body))


async def _run(curl: str) -> None:
    """Run the command as a person would, show what it prints, and raise unless a sensible stream came back."""
    if shutil.which("curl") is None:
        raise DemoFailed("curl is not installed, so the printed command was not tried")
    process = await asyncio.create_subprocess_shell(curl, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(ANSWERS_WITHIN_S):
            output, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise DemoFailed(f"the demo model did not answer within {ANSWERS_WITHIN_S} s") from None
    text = output.decode(errors="replace")
    click.echo(text)
    answer = answer_of(text)
    if process.returncode or not answer.strip():
        raise DemoFailed("the printed curl got no answer; what it got stands above")
    click.echo(f"The demo model says: {answer.strip()}")


def answer_of(stream: str) -> str:
    """The words in an event stream, or nothing when it has an error or does not end as it should."""
    data = [line.removeprefix("data: ") for line in stream.splitlines() if line.startswith("data: ")]
    if not data or data[-1] != "[DONE]":
        return ""
    chunks = [json.loads(item) for item in data[:-1]]
    return "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk.get("choices", ()))
