"""``manage.py bodhi_models``: the models that can be asked."""

from typing import Any

from bodhi_asgi import Bodhi
from bodhi_django.management.command import BodhiCommand


class Command(BodhiCommand):
    """List the models of this project: from its settings, aliases, and files on this machine."""

    help = "List the models that can be asked."

    def perform(self, options: dict[str, Any]) -> None:
        async def models(bodhi: Bodhi) -> Any:
            return await bodhi.list_models()

        found = self.ask(models).data
        if options["as_json"]:
            self.say_json([model.model_dump(mode="json") for model in found])
        else:
            self.say_table(("model",), [(model.id,) for model in found])
