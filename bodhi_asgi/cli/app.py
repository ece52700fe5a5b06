"""The group ``bodhi``: its commands, and the one place where everything that goes wrong becomes a sentence."""

import os
import select
import sys
from collections.abc import Sequence
from typing import Any, TextIO

import click

from bodhi_asgi.cli.chat import chat
from bodhi_asgi.cli.database import db
from bodhi_asgi.cli.demo import demo
from bodhi_asgi.cli.doctor import doctor
from bodhi_asgi.cli.engines import ps, stop
from bodhi_asgi.cli.models import cp, create, list_models, rm
from bodhi_asgi.cli.options import Options, printing
from bodhi_asgi.cli.outcome import fail
from bodhi_asgi.cli.pull import pull, search
from bodhi_asgi.cli.run import run
from bodhi_asgi.cli.serve import serve
from bodhi_asgi.cli.settings import settings
from bodhi_asgi.cli.show import show
from bodhi_asgi.cli.tokens import token
from bodhi_asgi.cli.version import version
from bodhi_asgi.errors import Broken
from bodhi_asgi.exit_codes import MEANING, ExitCode

EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"  {code.value:>3}  {MEANING[code]}" for code in ExitCode)


class Door(click.Group):
    """A group that ends every failure with its exit code and one sentence, and never with a traceback."""

    def main(  # type: ignore[override]
        self, args: Sequence[str] | None = None, prog_name: str | None = "bodhi", **extra: Any
    ) -> Any:
        """Run the command line and, unless ``standalone_mode`` is off, leave the process with an exit code."""
        given = list(sys.argv[1:] if args is None else args)
        options = Options()
        if not extra.pop("standalone_mode", True):
            return super().main(given, prog_name, standalone_mode=False, obj=options, **extra)
        try:
            code = super().main(given, prog_name, standalone_mode=False, obj=options, **extra)
        except (Exception, KeyboardInterrupt) as error:
            code = fail(error, as_json=options.as_json or "--json" in given, debug=options.debug)
        sys.exit(int(code or ExitCode.OK))

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a reader of our output who has enough, like ``head``, is no failure."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            if not _has_no_reader(sys.stdout):
                # It was another one: what was asked for is not done. Click would end without a word for its type.
                raise Broken("the connection to another process broke off; --debug shows where") from error
            # Nor may the interpreter complain when it flushes stdout at the end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return ExitCode.OK


def _has_no_reader(stream: TextIO) -> bool:
    """Whether nobody reads what is printed any more; where that cannot be asked, a broken pipe is taken for it."""
    if not hasattr(select, "poll"):
        return True
    try:
        ends = select.poll()
        ends.register(stream.fileno(), 0)  # errors and ends are told unasked
        return bool(ends.poll(0))
    except (OSError, ValueError):
        return False  # it is no file at all


@click.group(cls=Door, epilog=EXIT_CODES, context_settings={"help_option_names": ["-h", "--help"]})
@printing
def bodhi() -> None:
    """Language models for your own application, from the command line."""


for command in (
    serve,
    demo,
    chat,
    run,
    pull,
    search,
    list_models,
    create,
    cp,
    rm,
    show,
    ps,
    stop,
    token,
    db,
    settings,
    doctor,
    version,
):
    bodhi.add_command(command)
