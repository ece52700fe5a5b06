"""The database: opened, asked, its migrations looked at, and the time a round trip takes. Nothing in it is changed."""

import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any, Final

from sqlalchemy import func, literal_column, select

from bodhi_asgi.db.database import Database
from bodhi_asgi.db.migrations.runner import MigrationStatus
from bodhi_asgi.db.transaction import Transaction
from bodhi_asgi.doctor.case import Case, in_thread
from bodhi_asgi.doctor.extras import is_installed
from bodhi_asgi.doctor.permissions import database_file
from bodhi_asgi.doctor.sizes import duration
from bodhi_asgi.doctor.types import Finding, failed, ok, skipped, warning
from bodhi_asgi.errors import Unavailable
from bodhi_asgi.settings.checks import without_password
from bodhi_asgi.settings.schema import BodhiServerConfig

CHECK: Final = "database"
ROUND_TRIPS: Final = 5
SLOW_S: Final = 0.05


async def examine(case: Case) -> list[Finding]:
    """Connection and latency, then the migrations."""
    config = case.config
    shown = without_password(config.resolved_database_url)
    if not config.resolved_database_url.startswith("sqlite") and not is_installed("postgres"):
        return [skipped(CHECK, "the extra 'postgres' is not installed", "Run: pip install 'bodhi-asgi[postgres]'")]
    file = database_file(config)
    is_new = file is not None and not await in_thread(file.exists)
    try:
        async with _opened(config, case.time_limit_s / 2, scratch=is_new) as (database, took_s):
            round_trip = await _round_trip(database, took_s, shown, is_new=is_new)
            return [round_trip, await _migrations(database, config, is_new=is_new)]
    except Unavailable as error:
        reason = str(error.__cause__ or "")
        told = f"{shown} cannot be used: {reason or error.message}"
        advice = "Start the database, or correct database_url; a server starts without it and answers with 503."
        return [failed(CHECK, without_password(told), advice, url=shown, code=error.code)]
    except Exception as error:  # what a driver raises is not ours to know
        told = f"{shown} cannot be used: {type(error).__name__}: {error}"
        advice = "See that database_url names a database of ours, and restore the file from a backup if it is damaged."
        return [failed(CHECK, without_password(told), advice, url=shown, code=None)]


@asynccontextmanager
async def _opened(
    config: BodhiServerConfig, timeout_s: float, *, scratch: bool
) -> AsyncIterator[tuple[Database, float]]:
    """The database and the seconds its opening took; one in a temporary folder while there is no file yet."""
    with tempfile.TemporaryDirectory(prefix="bodhi-doctor-") as folder:
        url = f"sqlite:///{Path(folder) / 'bodhi.db'}" if scratch else config.resolved_database_url
        database = Database(
            url,
            pool_size=1,
            timeout_s=min(config.database.timeout_s, timeout_s),
            schema_name=config.database.schema_name,
        )
        try:
            began = time.perf_counter()
            await database.open()
            took_s = time.perf_counter() - began
            if scratch:
                await database.migrate("auto")
            yield database, took_s
        finally:
            await database.close()


async def _round_trip(database: Database, open_s: float, shown: str, *, is_new: bool) -> Finding:
    times = []
    for _ in range(ROUND_TRIPS):
        began = time.perf_counter()
        await database.ping()
        times.append(time.perf_counter() - began)
    async with database.transaction() as transaction:  # takes the write lock, and writes nothing
        version, is_read_only = await _asked(database, transaction)
    latency_s = median(times)
    where = f"{shown} does not exist yet; a new one like it is" if is_new else f"{shown} is"
    told = f"{where} {version}; opened in {duration(open_s)}, a round trip takes {duration(latency_s)}"
    facts: dict[str, Any] = {
        "url": shown,
        "exists": not is_new,
        "version": version,
        "open_s": round(open_s, 6),
        "round_trip_s": round(latency_s, 6),
    }
    if is_read_only:
        return failed(CHECK, f"{told}, but it only reads (a replica?)", "Name a database that takes writes.", **facts)
    if latency_s > SLOW_S:
        return warning(CHECK, told, "Bring the database nearer: every request asks it several times.", **facts)
    return ok(CHECK, told, **facts)


async def _asked(database: Database, transaction: Transaction) -> tuple[str, bool]:
    """The database's version, and whether it refuses to write."""
    if database.dialect == "sqlite":
        row = await transaction.fetch_one(select(func.sqlite_version().label("version")))
        return f"SQLite {row.version if row else 'of unknown version'}", False
    setting = func.current_setting
    row = await transaction.fetch_one(
        select(
            setting("server_version").label("version"),
            setting("transaction_read_only").label("read_only"),
            literal_column("1").label("one"),
        )
    )
    assert row is not None
    return f"PostgreSQL {row.version}", row.read_only == "on"


async def _migrations(database: Database, config: BodhiServerConfig, *, is_new: bool) -> Finding:
    steps: list[MigrationStatus] = await database.migration_status()
    missing = [step.name for step in steps if step.applied_at is None]
    facts: dict[str, Any] = {"known": len(steps), "missing": list(missing)}
    if is_new and config.migrations != "auto":
        told = f"there is no database yet, and migrations = '{config.migrations}' does not make its tables"
        return warning(CHECK, told, "Run: bodhi db upgrade", subject="migrations", known=len(steps), missing=None)
    if is_new:
        told = f"the {len(steps)} there are ran in a new database; they run in yours at the first start"
        return ok(CHECK, told, subject="migrations", known=len(steps), missing=None)
    if not missing:
        return ok(CHECK, f"up to date ({len(steps)} of {len(steps)})", subject="migrations", **facts)
    told = f"{len(missing)} of {len(steps)} not run yet: {', '.join(missing)}"
    if config.migrations == "auto":
        return ok(CHECK, f"{told}; they run at the next start", subject="migrations", **facts)
    if config.migrations == "check":
        told = f"{told}; with migrations = 'check' the server does not start"
        return failed(CHECK, told, "Run: bodhi db upgrade", subject="migrations", **facts)
    return warning(CHECK, told, "Run: bodhi db upgrade", subject="migrations", **facts)
