"""``manage.py bodhi_pull owner/repo``: bring a model of the Hugging Face hub to this machine."""

from typing import Any

from django.core.management.base import CommandParser

from bodhi_asgi import Bodhi
from bodhi_django.management.command import BodhiCommand


class Command(BodhiCommand):
    """Download a model and wait until it is whole; an interrupted one goes on at its byte."""

    help = "Bring a model of the Hugging Face hub to this machine."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("reference", help="owner/repo, owner/repo:Q4_K_M or owner/repo/file.gguf")

    def perform(self, options: dict[str, Any]) -> None:
        async def pull(bodhi: Bodhi) -> Any:
            return await (await bodhi.pull_model(options["reference"]))

        whole = self.ask(pull, downloads={"parallel": 1})
        if options["as_json"]:
            self.say_json(whole.model_dump(mode="json"))
        else:
            self.stdout.write(f"The model '{options['reference']}' is here.")
