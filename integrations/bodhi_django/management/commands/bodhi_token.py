"""``manage.py bodhi_token create|list|revoke``: API tokens, for programs that are no user of Django."""

from typing import Any, Final

from django.core.management.base import CommandError, CommandParser

from bodhi_asgi import Bodhi, Grants, Scope
from bodhi_asgi.exit_codes import ExitCode
from bodhi_django.management.command import BodhiCommand

PAGE_SIZE: Final = 100
SPEECH: Final = ("models:read", "inference")


class Command(BodhiCommand):
    """Create, list and revoke API tokens."""

    help = "Create, list and revoke API tokens."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        actions = parser.add_subparsers(dest="action", required=True)
        create = actions.add_parser("create", help="Make a token and print it; it is shown this once.")
        create.add_argument("--name", required=True, help="What you will know it by.")
        create.add_argument("--model", action="append", default=[], dest="models", help="A model it may use.")
        create.add_argument("--all-models", action="store_true", help="Let it use every model.")
        create.add_argument("--scope", action="append", choices=[str(scope) for scope in Scope], dest="scopes")
        create.add_argument("--expires-in-days", type=int, help="Its term; as the settings say if absent.")
        actions.add_parser("list", help="List the tokens, newest first.")
        revoke = actions.add_parser("revoke", help="End a token at once and for good.")
        revoke.add_argument("id")

    def perform(self, options: dict[str, Any]) -> None:
        getattr(self, f"_{options['action']}")(options)

    def _create(self, options: dict[str, Any]) -> None:
        if options["all_models"] == bool(options["models"]):
            raise CommandError(
                "say which models it may use: --model ID (repeatable), or --all-models", returncode=ExitCode.USAGE
            )
        grants = Grants.everything() if options["all_models"] else Grants(models=frozenset(options["models"]))

        async def create(bodhi: Bodhi) -> Any:
            return await bodhi.create_api_token(
                options["name"],
                scopes=options["scopes"] or SPEECH,
                grants=grants,
                expires_in_days=options["expires_in_days"],
            )

        made = self.ask(create)
        if options["as_json"]:
            self.say_json({"token": made.token.reveal(), **as_row(made.record)})
            return
        self.stdout.write(made.token.reveal())
        self.stderr.write(f"This is the token '{made.record.name}', shown only now.")

    def _list(self, options: dict[str, Any]) -> None:
        async def every(bodhi: Bodhi) -> list[Any]:
            found: list[Any] = []
            while True:
                page = await bodhi.list_api_tokens(page=len(found) // PAGE_SIZE + 1, page_size=PAGE_SIZE)
                found += page.data
                if not page.data or len(found) >= page.total:
                    return found

        rows = [as_row(token) for token in self.ask(every)]
        if options["as_json"]:
            self.say_json(rows)
        else:
            shown = ("id", "name", "status", "expires_at", "last_used_at")
            self.say_table(shown, [[row[key] for key in shown] for row in rows])

    def _revoke(self, options: dict[str, Any]) -> None:
        async def revoke(bodhi: Bodhi) -> Any:
            return await bodhi.revoke_api_token(options["id"])

        record = self.ask(revoke)
        if options["as_json"]:
            self.say_json(as_row(record))
        else:
            self.stdout.write(f"The token '{record.name}' is revoked.")


def as_row(token: Any) -> dict[str, Any]:
    """What is shown of a token: never its secret or hash."""
    return {
        "id": token.id,
        "name": token.name,
        "status": str(token.status),
        "scopes": sorted(token.scopes),
        "models": ["*"] if token.grants.all_models else sorted(token.grants.models),
        "expires_at": token.expires_at.isoformat(timespec="seconds"),
        "last_used_at": token.last_used_at and token.last_used_at.isoformat(timespec="seconds"),
    }
