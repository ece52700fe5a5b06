"""The engine's last words: a bounded log of standard error, and the reason of an end read back out of it.

The engine writes a line at its start; what follows it, up to the next such line, belongs to that launch.
"""

import os
import re
from pathlib import Path
from typing import Final

LOG_BYTES: Final = 1024 * 1024

_TAIL_BYTES: Final = 64 * 1024

_REASON_CHARACTERS: Final = 400

_STARTED: Final = "bodhi engine started, launch "

_FATAL: Final = re.compile(r"Fatal Python error: ")

_CONTROL: Final = re.compile(r"[^\x20-\x7e\xa0-\u2027\u202f-\u2065\u2070-\ufdff]+")


def open_log(path: Path) -> int:
    """The log for appending; several processes may hold it at once."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)


def begin_launch(launch: str, *, descriptor: int = 2) -> None:
    """Mark where this launch's lines begin, and drop earlier ones when there are many."""
    if os.fstat(descriptor).st_size > LOG_BYTES // 4:
        os.ftruncate(descriptor, 0)  # opened for appending, so the next line is written at the new end
    os.write(descriptor, f"{_STARTED}{launch}\n".encode())


def keep_bounded(launch: str, *, descriptor: int = 2) -> None:
    """Begin again once the log is over its bound."""
    if os.fstat(descriptor).st_size > LOG_BYTES:
        begin_launch(launch, descriptor=descriptor)


def reason(path: Path, launch: str) -> str:
    """The line or two in which this launch said why it ended, or an empty string."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            text = file.read(_TAIL_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    _, found, text = text.rpartition(f"{_STARTED}{launch}\n")
    if not found:
        return ""
    lines = [line.strip() for line in text.partition(_STARTED)[0].split("\n") if line.strip()]
    # After a fatal signal come the stacks of all threads; what was said before them is the reason.
    fatal = next((place for place, line in enumerate(lines) if _FATAL.match(line)), None)
    last = lines[max(0, fatal - 1) : fatal + 1] if fatal is not None else lines[-1:]
    return _CONTROL.sub(" ", " | ".join(last))[:_REASON_CHARACTERS]
