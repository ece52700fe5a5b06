"""Whether the data directory can be written, by us and by nobody else, and the database's file with it."""

import os
import stat
import tempfile
from pathlib import Path
from typing import Any, Final

from bodhi_asgi.db.database import MEMORY_FORMS
from bodhi_asgi.doctor.case import Case
from bodhi_asgi.doctor.places import is_open_to_others, mode_of, standing
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.settings.schema import BodhiServerConfig

CHECK: Final = "permissions"
PROBE_BYTES: Final = 4096


def examine(case: Case) -> list[Finding]:
    """The data directory, then the database's file."""
    if os.name == "nt":
        return [skipped(CHECK, "Windows keeps permissions in another way")]
    return [_data_dir(case.config.data_dir), _database(case.config)]


def _data_dir(path: Path) -> Finding:
    nearest = standing(path)
    facts: dict[str, Any] = {"path": str(path), "exists": nearest == path}
    if not nearest.is_dir():
        told = f"{path} cannot be made, because {nearest} is not a folder"
        return failed(CHECK, told, "Set data_dir to a folder that can be made.", subject="data_dir", **facts)
    if not os.access(nearest, os.W_OK | os.X_OK):
        told = f"{nearest} cannot be written by this user (uid {os.getuid()})"
        advice = "Give it to this user (chown), or set data_dir to a folder of its own."
        return failed(CHECK, told, advice, subject="data_dir", **facts)
    if nearest != path:
        told = f"{path} does not exist yet; it will be made with mode 0700"
        return ok(CHECK, told, subject="data_dir", **facts)
    reason = _write_probe(path)
    if reason:
        told = f"writing into {path} fails: {reason}"
        return failed(CHECK, told, "Make room there, or set data_dir to another place.", subject="data_dir", **facts)
    found = path.stat()
    told = f"{path} can be written; mode {mode_of(found)}, owner uid {found.st_uid}"
    facts |= {"mode": mode_of(found), "owner_uid": found.st_uid}
    if found.st_uid not in (0, os.getuid()):
        told, advice = f"{told}, who is not this user", f"Run: chown {os.getuid()} '{path}'"
        return warning(CHECK, told, advice, subject="data_dir", **facts)
    if is_open_to_others(found):
        told = f"{told}, which lets others in"
        return warning(CHECK, told, f"Run: chmod 700 '{path}'", subject="data_dir", **facts)
    return ok(CHECK, told, subject="data_dir", **facts)


def _write_probe(folder: Path) -> str:
    """Why nothing can be written there, or an empty string. The file is gone afterwards."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(bytes(PROBE_BYTES))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def database_file(config: BodhiServerConfig) -> Path | None:
    """The file of an SQLite database; None for one in memory, and for PostgreSQL."""
    url = config.resolved_database_url
    if not url.startswith("sqlite") or url in MEMORY_FORMS:
        return None
    return Path(url.removeprefix("sqlite:///"))


def _database(config: BodhiServerConfig) -> Finding:
    file = database_file(config)
    if file is None:
        return skipped(CHECK, "the database is no file", subject="database")
    facts: dict[str, Any] = {"path": str(file)}
    try:
        found = file.stat()
    except FileNotFoundError:
        return skipped(CHECK, f"{file} does not exist yet", subject="database", **facts)
    except NotADirectoryError:
        nearest = standing(file)
        advice = "Set database_url or data_dir to a place that can be."
        return failed(CHECK, f"{file} lies below {nearest}, which is a file", advice, subject="database", **facts)
    if not stat.S_ISREG(found.st_mode) or not os.access(file, os.R_OK | os.W_OK):
        told, advice = f"{file} is no file this user can read and write", f"Run: chown {os.getuid()} '{file}'"
        return failed(CHECK, told, advice, subject="database", **facts)
    # WAL keeps two more files beside it.
    if not os.access(file.parent, os.W_OK | os.X_OK):
        told = f"{file.parent} cannot be written, and SQLite needs files beside the database"
        advice = f"Run: chown {os.getuid()} '{file.parent}'"
        return failed(CHECK, told, advice, subject="database", **facts)
    told = f"{file}, mode {mode_of(found)}"
    facts |= {"mode": mode_of(found)}
    if is_open_to_others(found) and is_open_to_others(file.parent.stat()):
        told = f"{told}, in a folder that others may enter"
        return warning(CHECK, told, f"Run: chmod 600 '{file}'", subject="database", **facts)
    return ok(CHECK, told, subject="database", **facts)
