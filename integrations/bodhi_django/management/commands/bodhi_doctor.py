"""``manage.py bodhi_doctor``: is everything here that the server of this project needs, and does it work?"""

import asyncio
from typing import Any

from django.core.management.base import CommandError, CommandParser

from bodhi_asgi import Finding, diagnose
from bodhi_asgi.exit_codes import ExitCode
from bodhi_django.conf import django_settings
from bodhi_django.management.command import BodhiCommand


class Command(BodhiCommand):
    """Examine this machine with the settings of this project. Ends with 1 when something does not work."""

    help = "Examine whether a language model server with these settings works here."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--no-engine", action="store_true", help="Leave out what starts an engine.")

    def perform(self, options: dict[str, Any]) -> None:
        def found(finding: Finding) -> None:
            if not options["as_json"]:
                self.stdout.write(f"{finding.status}\t{finding.label}\t{finding.found}\t{finding.advice}")

        settings = django_settings()
        diagnosis = asyncio.run(diagnose(settings.config, with_engine=not options["no_engine"], on_found=found))
        if options["as_json"]:
            self.say_json(diagnosis.as_json())
        if diagnosis.has_failed:
            raise CommandError("something that is needed does not work here", returncode=ExitCode.FAILED)
