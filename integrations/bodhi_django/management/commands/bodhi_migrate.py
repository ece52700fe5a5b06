"""``manage.py bodhi_migrate``: bring our tables up to date, beside those of Django's own ``migrate``."""

from typing import Any

from bodhi_asgi import Bodhi
from bodhi_django.management.command import BodhiCommand


class Command(BodhiCommand):
    """Run the migrations that are missing; for projects with ``BODHI["MIGRATIONS"] = "check"`` or ``"manual"``."""

    help = "Bring the tables of the language model server up to date."

    def perform(self, options: dict[str, Any]) -> None:
        async def tokens(bodhi: Bodhi) -> int:
            return (await bodhi.list_api_tokens(page_size=1)).total

        # A server that starts with "auto" has migrated; that its tables can be read proves that it did.
        self.ask(tokens, migrations="auto")
        if options["as_json"]:
            self.say_json({"database": "up to date"})
        else:
            self.stdout.write("The database is up to date.")
