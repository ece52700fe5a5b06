"""``bodhi list``, ``create``, ``cp`` and ``rm``: the models that there are, and names for them."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from bodhi_asgi.caller import Caller
from bodhi_asgi.cli.engines import size
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table

if TYPE_CHECKING:
    from bodhi_asgi.formats.management.files import ModelAliasResponse, RemovedFiles
    from bodhi_asgi.models.wire import ModelPage, UserAliasResponse

    Model = UserAliasResponse | ModelAliasResponse

PAGE_SIZE: Final = 100
TYPES: Final = {"alias": "model_alias", "model": "local_file"}


@click.command(name="list")
@click.option("--search", metavar="TEXT", help="Only those with TEXT in name, repository or file.")
@click.option("--type", "kind", type=click.Choice(list(TYPES)), help="Only aliases, or only what has a name by itself.")
@click.option(
    "--sort", type=click.Choice(["name", "repo", "filename"]), default="name", show_default=True, help="In which order."
)
@printing
@click.pass_obj
def list_models(options: Options, search: str | None, kind: str | None, sort: str) -> None:
    """List the models: of the settings, aliases, and files of this machine."""
    query = {"sort": sort, **({"search": search} if search else {}), **({"type": TYPES[kind]} if kind else {})}
    models = asyncio.run(_list(options, query))
    if options.as_json:
        print_json([model.model_dump(mode="json") for model in models])
        return
    print_table(
        ("Model", "Kind", "Size", "Quantisation", "Context", "Of"),
        [_row(model) for model in models],
        empty="There are no models. Get one: bodhi pull owner/repo:Q4_K_M",
    )


@click.command()
@click.argument("name")
@click.option(
    "-f",
    "--file",
    "path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="A TOML file: repo and filename or model, request_params, settings, keep_alive, system_prompt.",
)
@printing
@click.pass_obj
def create(options: Options, name: str, path: Path) -> None:
    """Make the alias NAME as a TOML file says, or make it anew if there is one.

    It is an alias of the application, and so everybody's who has a grant on it.
    """
    from bodhi_asgi.cli.recipe import read_recipe
    from bodhi_asgi.models.names import check_alias_name

    check_alias_name(name)  # before anything is started
    alias = asyncio.run(_create(options, name, read_recipe(path)))
    _tell(options, alias, f"The alias '{alias.alias}' stands for {alias.filename} of {alias.repo}.")


@click.command()
@click.argument("model")
@click.argument("name")
@printing
@click.pass_obj
def cp(options: Options, model: str, name: str) -> None:
    """Copy MODEL, which may be an alias or any other, to the alias NAME."""
    from bodhi_asgi.models.names import check_alias_name

    check_alias_name(name)
    alias = asyncio.run(_copy(options, model, name))
    _tell(options, alias, f"The alias '{alias.alias}' is what '{model}' is.")


@click.command()
@click.argument("name")
@click.option("--file", "with_file", is_flag=True, help="Remove the file of an alias too, when nothing else needs it.")
@click.option("--force", is_flag=True, help="Remove a file although aliases stand for it, which stay without one.")
@printing
@click.pass_obj
def rm(options: Options, name: str, with_file: bool, force: bool) -> None:
    """Remove the alias NAME; or the file, when NAME is that of a file in the Hugging Face cache.

    The file of a model that is loaded, or that the settings name, is never removed. Where a file has to stay, the alias
    stays too.
    """
    removed = asyncio.run(_remove(options, name, with_file, force))
    if options.as_json:
        print_json({"model": name, **removed.model_dump()})
    elif not removed.files:
        click.echo(f"The alias '{name}' is gone; {'its file was not here' if with_file else 'its file stays'}.")
    else:
        click.echo(f"The model '{name}' is gone, and {size(removed.freed_bytes)} are free.")


async def _list(options: Options, query: dict[str, str]) -> "list[Model]":
    async with options.server() as server:
        aliases = server.as_caller(Caller.system()).aliases
        found: list[Model] = []
        while True:
            page: ModelPage = await aliases.list(page=len(found) // PAGE_SIZE + 1, page_size=PAGE_SIZE, **query)
            found += page.data
            if not page.data or len(found) >= page.total:
                return found


async def _create(options: Options, name: str, recipe: dict[str, Any]) -> "UserAliasResponse":
    from bodhi_asgi.models.errors import ModelNotFound

    async with options.server() as server:
        aliases = server.as_caller(Caller.system()).aliases
        base = recipe.pop("model", None)
        request = {"alias": name, **recipe} if base is None else {**_place(await aliases.find(base)), **recipe}
        request["alias"] = name
        try:
            there = await aliases.find(name)
        except ModelNotFound:
            return await aliases.create(request)
        return await (aliases.update(there.id, request) if there.source == "user" else aliases.create(request))


async def _copy(options: Options, model: str, name: str) -> "UserAliasResponse":
    async with options.server() as server:
        aliases = server.as_caller(Caller.system()).aliases
        found = await aliases.find(model)
        if found.source == "user":
            return await aliases.copy(found.id, name)
        return await aliases.create({"alias": name, **_place(found)})


async def _remove(options: Options, name: str, with_file: bool, force: bool) -> "RemovedFiles":
    from bodhi_asgi.errors import Invalid
    from bodhi_asgi.models.types import SETTINGS_REPO

    async with options.server() as server:
        bodhi = server.as_caller(Caller.system())
        found = await bodhi.aliases.find(name)
        if found.source == "user":
            return await bodhi.aliases.delete(found.id, with_file=with_file, force=force)
        if found.repo == SETTINGS_REPO:
            raise Invalid(f"the model '{found.filename}' is one of the settings; take it out of the setting models")
        return await bodhi.delete_model_file(found.repo, found.filename, found.snapshot, force=force)


def _place(model: "Model") -> dict[str, str]:
    return {"repo": model.repo, "filename": model.filename, "snapshot": model.snapshot}


def _tell(options: Options, alias: "UserAliasResponse", sentence: str) -> None:
    if options.as_json:
        print_json(alias.model_dump(mode="json"))
    else:
        click.echo(sentence)


def _row(model: "Model") -> tuple[str, ...]:
    told = model.metadata
    return (
        model.alias,
        "alias" if model.source == "user" else "model",
        "" if model.size is None else size(model.size),
        (told.architecture.quantization or "") if told else "",
        str(told.context.max_input_tokens or "") if told else "",
        f"{model.repo}/{model.filename}",
    )
