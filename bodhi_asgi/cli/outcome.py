"""How a command ends: the documented exit codes, and errors as one sentence (or one JSON object) on stderr."""

import json
import sys
import traceback
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

import click

from bodhi_asgi.errors import BodhiError, Kind


class ExitCode(IntEnum):
    """The exit codes of ``bodhi``. They are part of its interface and do not change."""

    OK = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    REFUSED = 4
    UNAVAILABLE = 5
    INTERRUPTED = 130


MEANING: Final[Mapping[ExitCode, str]] = MappingProxyType(
    {
        ExitCode.OK: "done",
        ExitCode.FAILED: "failed for a reason the other codes do not name",
        ExitCode.USAGE: "the command, an option or a setting is wrong",
        ExitCode.NOT_FOUND: "what was named does not exist",
        ExitCode.REFUSED: "not permitted",
        ExitCode.UNAVAILABLE: "a part is down, busy, missing or in use; trying again later may help",
        ExitCode.INTERRUPTED: "stopped by Ctrl-C",
    }
)

OF_KIND: Final[Mapping[Kind, ExitCode]] = MappingProxyType(
    {
        Kind.INVALID: ExitCode.USAGE,
        Kind.NOT_FOUND: ExitCode.NOT_FOUND,
        Kind.UNAUTHENTICATED: ExitCode.REFUSED,
        Kind.FORBIDDEN: ExitCode.REFUSED,
        Kind.CONFLICT: ExitCode.UNAVAILABLE,
        Kind.BUSY: ExitCode.UNAVAILABLE,
        Kind.UNAVAILABLE: ExitCode.UNAVAILABLE,
    }
)
"""The exit code of each kind of error; kinds that do not stand here end with ``FAILED``."""


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
