"""``bodhi token``: create, list and revoke API tokens."""

import asyncio
from typing import TYPE_CHECKING, Any, Final

import click

from bodhi_asgi.caller import Caller, Grants
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json, print_table

if TYPE_CHECKING:
    from bodhi_asgi.tokens.types import CreatedToken, Token, TokenSpec

PAGE_SIZE: Final = 100


@click.group()
@printing
def token() -> None:
    """Create, list and revoke API tokens."""


@token.command()
@click.option("--name", required=True, help="What you will know it by.")
@click.option(
    "--scope",
    type=click.Choice(["user", "power_user"]),
    default="user",
    show_default=True,
    help="What it may do: use models, or also manage them and read health details and metrics.",
)
@click.option("--model", "models", multiple=True, metavar="ID", help="A model it may use (repeatable).")
@click.option("--all-models", is_flag=True, help="Let it use every model.")
@click.option("--expires-in-days", type=click.IntRange(1, 3650), help="Its term; 90 days unless set otherwise.")
@printing
@click.pass_obj
def create(
    options: Options, name: str, scope: str, models: tuple[str, ...], all_models: bool, expires_in_days: int | None
) -> None:
    """Make a token and print it. It is shown this once; only its hash is kept."""
    if all_models == bool(models):
        raise click.UsageError("say which models the token may use: --model ID (repeatable), or --all-models")
    from bodhi_asgi.tokens.types import TokenSpec
    from bodhi_asgi.tokens.wire import SCOPES

    grants = Grants.everything() if all_models else Grants(models=frozenset(models))
    made = asyncio.run(_create(options, TokenSpec(name, SCOPES[f"scope_token_{scope}"], grants, expires_in_days)))
    if options.as_json:
        print_json({"token": made.token.reveal(), **as_row(made.record)})
        return
    click.echo(made.token.reveal())
    click.echo(
        f"This is the token '{name}', shown only now. It is valid until {made.record.expires_at:%Y-%m-%d}.", err=True
    )


@token.command(name="list")
@printing
@click.pass_obj
def list_tokens(options: Options) -> None:
    """List the tokens, newest first."""
    rows = [as_row(record) for record in asyncio.run(_list(options))]
    if options.as_json:
        print_json(rows)
        return
    shown = ("id", "name", "status", "models", "expires_at", "last_used_at")
    cells = [[", ".join(row[key]) if key == "models" else row[key] for key in shown] for row in rows]
    print_table(
        ("Id", "Name", "Status", "Models", "Expires", "Last used"),
        cells,
        empty="There are no tokens. Make one: bodhi token create --name laptop --all-models",
    )


@token.command()
@click.argument("token_id", metavar="ID")
@printing
@click.pass_obj
def revoke(options: Options, token_id: str) -> None:
    """End the token ID at once and for good."""
    record = asyncio.run(_revoke(options, token_id))
    if options.as_json:
        print_json(as_row(record))
    else:
        click.echo(f"The token '{record.name}' is revoked.")


async def _create(options: Options, spec: "TokenSpec") -> "CreatedToken":
    async with options.server() as server:
        return await server.as_caller(Caller.system()).create_api_token(
            spec.name, scopes=spec.scopes, grants=spec.grants, expires_in_days=spec.expires_in_days
        )


async def _list(options: Options) -> "list[Token]":
    async with options.server() as server:
        bodhi = server.as_caller(Caller.system())
        records: list[Token] = []
        while True:
            page = await bodhi.list_api_tokens(page=len(records) // PAGE_SIZE + 1, page_size=PAGE_SIZE)
            records += page.data
            if not page.data or len(records) >= page.total:
                return records


async def _revoke(options: Options, token_id: str) -> "Token":
    async with options.server() as server:
        return await server.as_caller(Caller.system()).revoke_api_token(token_id)


def as_row(record: "Token") -> dict[str, Any]:
    """What is shown of a token: never its secret or hash."""
    return {
        "id": record.id,
        "name": record.name,
        "status": str(record.status),
        "scopes": sorted(record.scopes),
        "models": ["*"] if record.grants.all_models else sorted(record.grants.models),
        "created_at": record.created_at.isoformat(timespec="seconds"),
        "expires_at": record.expires_at.isoformat(timespec="seconds"),
        "last_used_at": record.last_used_at and record.last_used_at.isoformat(timespec="seconds"),
    }
