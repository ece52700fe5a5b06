"""``bodhi pull`` and ``bodhi search``: find a model on the hub and bring it here, with a bar that tells how far it is.

What arrives is done by this process, or by a server on the same data directory if that is quicker to it. Ctrl-C pauses.
"""

import asyncio
import json
import sys
from typing import TYPE_CHECKING, Any

import click

from bodhi_asgi.caller import Caller
from bodhi_asgi.cli.engines import size, span
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table

if TYPE_CHECKING:
    from bodhi_asgi.formats.management.downloads import DownloadShape
    from bodhi_asgi.hub.types import RepoSummary
    from bodhi_asgi.pulls import ModelPull
    from bodhi_asgi.server import BodhiServer


@click.command()
@click.argument("reference", metavar="MODEL")
@printing
@click.pass_obj
def pull(options: Options, reference: str) -> None:
    """Download MODEL from the hub: owner/repo, owner/repo:Q4_K_M or owner/repo/file.gguf.

    Without a quantisation it is the largest that fits in memory. Ctrl-C pauses; the same command goes on at the byte.
    With --json, one line for each change.
    """
    done = asyncio.run(_pulled(options, reference))
    if not options.as_json:
        name = f"{done.repo}:{done.quant}" if done.quant else f"{done.repo}/{done.filename}"
        click.echo(f"{name} is here: {len(done.files)} {'file' if len(done.files) == 1 else 'files'}, "
                   f"{size(done.total_bytes)}.")  # fmt: skip


@click.command()
@click.argument("words", nargs=-1, required=True)
@click.option("--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="How many to show at most.")
@printing
@click.pass_obj
def search(options: Options, words: tuple[str, ...], limit: int) -> None:
    """Find repositories with GGUF models on the hub whose names have WORDS, the most downloaded first."""
    found = asyncio.run(_found(options, " ".join(words), limit))
    if options.as_json:
        print_json([_as_row(repo) for repo in found])
        return
    rows = [(repo.repo, f"{repo.downloads:,}", f"{repo.likes:,}", _day(repo), _access(repo)) for repo in found]
    print_table(("Repository", "Downloads", "Likes", "Changed", "Access"), rows, empty="Nothing was found.")


async def _found(options: Options, words: str, limit: int) -> "tuple[RepoSummary, ...]":
    async with options.server() as server:
        return await server.as_caller(Caller.system()).search_models(words, limit=limit)


async def _pulled(options: Options, reference: str) -> "DownloadShape":
    from bodhi_asgi.hub.access import HubAccess
    from bodhi_asgi.hub.reference import check_of_the_hub, parse

    settings = options.settings()
    check_of_the_hub(parse(reference, hosts=HubAccess.of(settings.hub).hosts).repo)  # before anything is started
    # Where nothing shall be downloaded by servers, it is done here: somebody has asked for it.
    own = {} if settings.downloads.parallel else {"parallel": 1}
    async with options.server(downloads=own) as server:
        model = await server.as_caller(Caller.system()).pull_model(reference)
        if model.now.state == "completed":
            _tell(options, model.now)
            return model.now
        try:
            await (_in_lines(model) if options.as_json else _with_bar(model))
        except asyncio.CancelledError:
            await _pause(server, options, model, reference)
            raise
        return await model


async def _pause(server: "BodhiServer", options: Options, model: "ModelPull", reference: str) -> None:
    """Ctrl-C: what has arrived is kept, and nobody goes on with it unasked."""
    paused = await server.as_caller(Caller.system()).downloads.pause(model.id)
    _tell(options, paused)
    if not options.as_json:
        click.echo(f"\nPaused at {size(paused.downloaded_bytes)}. Go on with: bodhi pull {reference}", err=True)


def _tell(options: Options, now: "DownloadShape") -> None:
    if options.as_json:
        click.echo(json.dumps(now.model_dump(mode="json")))


async def _in_lines(model: "ModelPull") -> None:
    async for now in model:
        click.echo(json.dumps(now.model_dump(mode="json")))


async def _with_bar(model: "ModelPull") -> None:
    if not sys.stderr.isatty():
        await _in_words(model)
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    columns = (
        TextColumn("{task.fields[name]}"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[pace]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=model.now.total_bytes, name=_name(model.now), pace="")
        async for now in model:
            progress.update(task, completed=now.downloaded_bytes, pace=_pace(now))


async def _in_words(model: "ModelPull") -> None:
    """For a log: a line for each status and each tenth."""
    told: tuple[Any, ...] = ()
    async for now in model:
        tenth = 10 * now.downloaded_bytes // max(now.total_bytes, 1)
        if told != (now.state, tenth, now.error):
            told = (now.state, tenth, now.error)
            click.echo(f"{_name(now)}: {tenth * 10}% of {size(now.total_bytes)} {_pace(now)}".rstrip(), err=True)


def _pace(now: "DownloadShape") -> str:
    """How fast, how long still, or why not."""
    if now.state == "running" and now.seconds_left is not None:
        return f"{size(now.bytes_per_second)}/s, {span(now.seconds_left)} left"
    if now.state == "queued" and now.error:
        return f"waits to try again: {now.error}"
    return now.state


def _name(now: "DownloadShape") -> str:
    return now.filename.rpartition("/")[2]


def _day(repo: "RepoSummary") -> str:
    return repo.modified_at.date().isoformat() if repo.modified_at else ""


def _access(repo: "RepoSummary") -> str:
    return "gated" if repo.is_gated else "private" if repo.is_private else "open"


def _as_row(repo: "RepoSummary") -> dict[str, Any]:
    return {
        "repo": repo.repo,
        "downloads": repo.downloads,
        "likes": repo.likes,
        "modified_at": repo.modified_at and repo.modified_at.isoformat(),
        "is_gated": repo.is_gated,
        "is_private": repo.is_private,
    }
