"""How a command ends, ours and those of hosts alike: the documented exit codes, and which kind of error has which."""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from bodhi_asgi.errors import Kind


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
