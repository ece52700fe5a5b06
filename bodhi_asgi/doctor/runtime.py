"""The private directory where hosts and engines meet, and the engines that are there: running, silent, or left over."""

import json
import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bodhi_asgi import __version__
from bodhi_asgi.doctor.case import Case, blocking
from bodhi_asgi.doctor.places import mode_of, standing
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.engine.process.election import is_held
from bodhi_asgi.engine.process.runtime import SOCKET_PATH_BYTES, EnginePaths, open_private, runtime_directory
from bodhi_asgi.errors import ConfigurationInvalid

CHECK: Final = "runtime"
ANSWERS_WITHIN_S: Final = 2.0
KEY: Final = "0" * 16


@dataclass(frozen=True, slots=True)
class Found:
    """An engine's files: whether somebody holds its lock, whether it answers, and what it said of itself."""

    paths: EnginePaths
    is_held: bool
    answers: bool
    facts: dict[str, Any]

    @property
    def told(self) -> str:
        """The model and the process, as far as it said."""
        return f"'{self.facts.get('model', 'unknown')}' (pid {self.facts.get('pid', 'unknown')})"


@blocking
def examine(case: Case) -> list[Finding]:
    """The directory, the length of a socket's path in it, and the engines of this and of other data directories."""
    if case.config.engine.isolation != "process":
        return [skipped(CHECK, "engine.isolation is 'thread', so no engine process meets anybody")]
    directory = runtime_directory(case.config.data_dir)
    findings = [_directory(directory), _path_length(directory)]
    if findings[0].status == "failed":
        return findings
    here = list(engines_in(directory))
    elsewhere = [
        found
        for other in (sorted(directory.parent.iterdir()) if directory.parent.is_dir() else ())
        if other != directory and other.is_dir()
        for found in engines_in(other)
    ]
    return [*findings, *_engines(here, elsewhere)]


def _directory(directory: Path) -> Finding:
    facts: dict[str, Any] = {"path": str(directory), "exists": directory.exists()}
    nearest = standing(directory)
    if nearest != directory:
        if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
            told = f"{directory} cannot be made in {nearest}"
            advice = "Set XDG_RUNTIME_DIR to a directory of your own."
            return failed(CHECK, told, advice, subject="directory", **facts)
        told = f"{directory} does not exist yet; it will be made with mode 0700"
        return ok(CHECK, told, subject="directory", **facts)
    try:
        open_private(directory)
    except ConfigurationInvalid as error:
        advice = "Do as it says there, or remove the directory while no engine runs; it is made anew."
        return failed(CHECK, error.message, advice, subject="directory", **facts)
    found = directory.stat()
    facts |= {"mode": mode_of(found), "owner_uid": found.st_uid}
    return ok(CHECK, f"{directory} is ours alone (mode {mode_of(found)})", subject="directory", **facts)


def _path_length(directory: Path) -> Finding:
    """Where the wanted directory would make a path too long, the engine goes elsewhere, which is told here."""
    length = len(os.fsencode(EnginePaths(directory, KEY).socket))
    told = f"the path of a socket has {length} bytes of {SOCKET_PATH_BYTES}"
    wanted = os.environ.get("XDG_RUNTIME_DIR", "")
    facts = {"bytes": length, "most_bytes": SOCKET_PATH_BYTES, "wanted": wanted or None}
    if wanted and not directory.is_relative_to(wanted):
        told = f"{told}; XDG_RUNTIME_DIR is '{wanted}', which is too long, no directory, or another user's"
        advice = "Unset it, or set it to a short path of your own, the same in all processes that share engines."
        return warning(CHECK, told, advice, subject="socket path", **facts)
    return ok(CHECK, told, subject="socket path", **facts)


def engines_in(directory: Path) -> Iterator[Found]:
    """Engines that run there, and the files of those that ended without tidying up."""
    for lock in sorted(directory.glob("*.lock")):
        paths = EnginePaths(directory, lock.stem)
        held = is_held(lock)
        if held or paths.socket.exists() or paths.ready.exists():
            yield Found(paths, held, held and _answers(paths.socket), _facts(paths.ready))


def _answers(path: Path) -> bool:
    """Whether the engine greets whoever connects. Nothing is said to it, so it takes us for no host."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(ANSWERS_WITHIN_S)
        try:
            connection.connect(str(path))
            return bool(connection.recv(1))
        except OSError:
            return False


def _facts(ready: Path) -> dict[str, Any]:
    try:
        said = json.loads(ready.read_bytes())
    except (OSError, ValueError):
        return {}
    return said if isinstance(said, dict) else {}


def _engines(here: list[Found], elsewhere: list[Found]) -> list[Finding]:
    running = [found for found in here if found.answers]
    told = f"running: {', '.join(found.told for found in running)}" if running else "no engine runs for this data_dir"
    others = [found for found in elsewhere if found.answers]
    if others:
        told += f"; for other data directories or versions: {', '.join(found.told for found in others)}"
    findings = [ok(CHECK, told, subject="engines", running=[_row(found) for found in [*running, *others]])]
    for found in [*here, *elsewhere]:
        if found.is_held and not found.answers:
            pid = found.facts.get("pid", "of the process that holds the lock")
            findings.append(
                warning(
                    CHECK,
                    f"the engine {found.told} holds its lock and does not answer",
                    f"If it is not just starting, end it: kill {pid}",
                    subject="engines",
                    silent=_row(found),
                )
            )
        elif found.is_held and found.facts.get("version", __version__) != __version__:
            findings.append(
                warning(
                    CHECK,
                    f"the engine {found.told} is of version {found.facts['version']}",
                    "Restart the host that still uses it; an engine ends soon after its last host.",
                    subject="engines",
                    outdated=_row(found),
                )
            )
    left = [found for found in here if not found.is_held]
    if left:
        findings.append(
            warning(
                CHECK,
                f"{len(left)} engine{'s' * (len(left) != 1)} ended without tidying up, killed or crashed: "
                f"{', '.join(found.told for found in left)}",
                f"The next one tidies up; why it ended may stand in {left[0].paths.log}.",
                subject="engines",
                left=[_row(found) for found in left],
            )
        )
    return findings


def _row(found: Found) -> dict[str, Any]:
    return {name: found.facts.get(name) for name in ("pid", "model", "version")} | {"lock": str(found.paths.lock)}
