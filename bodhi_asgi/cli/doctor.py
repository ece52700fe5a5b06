"""``bodhi doctor``: is everything here that a server needs, and does it work?"""

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final

import click

from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.output import print_json
from bodhi_asgi.exit_codes import ExitCode

if TYPE_CHECKING:
    from bodhi_asgi.doctor.types import Diagnosis, Finding

COLOURS: Final = {"ok": "green", "warning": "yellow", "failed": "red", "skipped": "bright_black"}
ERASE_LINE: Final = "\r\x1b[K"


@click.command()
@click.argument("model", required=False)
@click.option("--engine/--no-engine", default=True, help="Whether an engine is started and measured.")
@click.option(
    "--time-limit",
    type=click.FloatRange(min=0.1, max=600),
    default=15.0,
    show_default=True,
    metavar="SECONDS",
    help="The longest each check may take; loading a model has engine.start_timeout_s besides.",
)
@printing
@click.pass_obj
def doctor(options: Options, model: str | None, engine: bool, time_limit: float) -> ExitCode:
    """Look at everything a server needs here, and start the engine of MODEL (the demo model unless you say otherwise).

    Nothing is changed. Ends with 1 when anything failed; warnings and what was skipped end with 0.
    """
    from bodhi_asgi.doctor.examination import diagnose

    told = Telling(as_json=options.as_json)
    diagnosis = asyncio.run(
        diagnose(
            options.settings,
            model=model,
            with_engine=engine,
            time_limit_s=time_limit,
            on_started=told.started,
            on_found=told.found,
        )
    )
    told.ended(diagnosis)
    return ExitCode.FAILED if diagnosis.has_failed else ExitCode.OK


class Telling:
    """Findings as they come: lines for people, tab-separated ones for a pipe; with JSON one document at the end.

    What is being looked at is shown on stderr, where that is a terminal, and wiped away.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._has_screen = sys.stdout.isatty()
        self._has_progress = sys.stderr.isatty()
        if not as_json and not self._has_screen:
            click.echo("status\tcheck\tfound\tadvice")

    def started(self, check: str) -> None:
        """A check begins."""
        if self._has_progress:
            click.echo(f"{ERASE_LINE}looking at: {check} ...", err=True, nl=False)

    def found(self, finding: "Finding") -> None:
        """A check has found something."""
        self._wipe()
        if self._as_json:
            return
        if not self._has_screen:
            cells = (finding.status, finding.label, finding.found, finding.advice)
            click.echo("\t".join(_one_line(cell) for cell in cells))
            return
        status = click.style(f"{finding.status:<8}", fg=COLOURS[finding.status])
        line = f"{status} {click.style(finding.label, bold=True)}: {_one_line(finding.found)}"
        click.echo(line, color=False if os.environ.get("NO_COLOR") else None)
        if finding.advice:
            click.echo(f"{'':<8} → {_one_line(finding.advice)}")

    def ended(self, diagnosis: "Diagnosis") -> None:
        """All checks are made."""
        self._wipe()
        if self._as_json:
            print_json(diagnosis.as_json())
        elif self._has_screen:
            counts = diagnosis.counts
            warnings = f"{counts['warning']} warning{'s' * (counts['warning'] != 1)}"
            click.echo(f"{counts['ok']} ok, {warnings}, {counts['failed']} failed, {counts['skipped']} skipped.")

    def _wipe(self) -> None:
        if self._has_progress:
            click.echo(ERASE_LINE, err=True, nl=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())
