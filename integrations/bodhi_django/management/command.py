"""What all our commands have: a server on ``settings.BODHI``, JSON when asked for, and errors with their exit codes."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from django.core.management.base import BaseCommand, CommandError, CommandParser

from bodhi_asgi import Bodhi, BodhiError, BodhiServer, Caller
from bodhi_asgi.exit_codes import OF_KIND, ExitCode
from bodhi_django.conf import django_settings

T = TypeVar("T")


class BodhiCommand(BaseCommand):  # type: ignore[misc]  # Django has no types
    """A command that asks verbs. Its errors are sentences and exit codes, never tracebacks."""

    requires_system_checks: Sequence[str] = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", dest="as_json", help="Print JSON.")

    def handle(self, *_: Any, **options: Any) -> None:
        """Do it, and end with the exit code of what went wrong."""
        try:
            self.perform(options)
        except BodhiError as error:
            raise CommandError(error.message, returncode=OF_KIND.get(error.kind, ExitCode.FAILED)) from error

    def perform(self, options: dict[str, Any]) -> None:  # noqa: ARG002
        """What the command does. May raise BodhiError."""
        raise AssertionError("each command says what it does")

    def ask(self, use: Callable[[Bodhi], Awaitable[T]], **explicit: Any) -> T:
        """Await what ``use`` makes of the verbs, on a server of our own that leaves downloads to others."""

        async def main() -> T:
            config = django_settings().config(**{"downloads": {"parallel": 0}, **explicit})
            async with BodhiServer(config) as server:
                return await use(server.as_caller(Caller.system()))

        return asyncio.run(main())

    def say_json(self, data: Any) -> None:
        """One JSON document."""
        self.stdout.write(json.dumps(data, indent=2, ensure_ascii=False, default=str))

    def say_table(self, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> None:
        """Lines of values with tabs between them, headings first."""
        for line in (columns, *rows):
            self.stdout.write("\t".join("" if cell is None else str(cell) for cell in line))
