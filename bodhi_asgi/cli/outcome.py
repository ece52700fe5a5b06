"""How a command ends: its exit code, and errors as one sentence (or one JSON object) on stderr."""

import json
import sys
import traceback

import click

from bodhi_asgi.errors import BodhiError
from bodhi_asgi.exit_codes import OF_KIND, ExitCode


def fail(error: BaseException, *, as_json: bool, debug: bool) -> ExitCode:
    """Tell what went wrong and return the exit code. The traceback is shown only when ``--debug`` asks for it."""
    if isinstance(error, KeyboardInterrupt | click.Abort):
        return ExitCode.INTERRUPTED
    if debug:
        traceback.print_exception(error, file=sys.stderr)
    if isinstance(error, BodhiError):
        exit_code = OF_KIND.get(error.kind, ExitCode.FAILED)
        _tell(error.message, error.code, error.param, as_json)
    elif isinstance(error, click.UsageError):
        exit_code = ExitCode.USAGE
        hint = f" Try: {error.ctx.command_path} --help" if error.ctx is not None and not as_json else ""
        _tell(error.format_message() + hint, "usage", None, as_json)
    elif isinstance(error, click.ClickException):
        exit_code = ExitCode.FAILED
        _tell(error.format_message(), "failed", None, as_json)
    else:
        exit_code = ExitCode.FAILED
        hint = "" if debug else "; --debug shows where"
        _tell(f"Unexpected {type(error).__name__}: {error}{hint}", "internal_error", None, as_json)
    return exit_code


def _tell(message: str, code: str, param: str | None, as_json: bool) -> None:
    if as_json:
        body = {"message": message, "code": code, "param": param}
        click.echo(json.dumps({"error": {name: value for name, value in body.items() if value is not None}}), err=True)
    else:
        click.echo(f"Error: {message}", err=True)
