"""Databases that are well, away, silent, old, damaged, or only for reading."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import DDL

from bodhi_asgi import BodhiServer
from bodhi_asgi.db.database import Database
from bodhi_asgi.db.migrations.runner import MIGRATIONS
from tests.doctor.support import examined, only, settings
from tests.neighbours.postgres import Cluster, cluster


@pytest.fixture(scope="module")
def postgres() -> Iterator[Cluster]:
    with cluster() as running:
        yield running


@pytest.fixture
async def old(tmp_path: Path) -> str:
    """An SQLite file that none of our migrations ever saw."""
    url = f"sqlite:///{tmp_path / 'old.db'}"
    database = Database(url)
    await database.open()
    await database.close()
    return url


async def test_the_database_of_a_server_is_up_to_date_and_quick(tmp_path: Path) -> None:
    config = settings(tmp_path)
    async with BodhiServer(config):
        diagnosis = await examined(config)
    found = only(diagnosis, "database")
    assert found.status == "ok"
    assert found.facts["exists"] is True
    assert str(found.facts["version"]).startswith("SQLite 3.")
    assert only(diagnosis, "database", "migrations").found == f"up to date ({len(MIGRATIONS)} of {len(MIGRATIONS)})"


@pytest.mark.parametrize(
    ("mode", "status", "told"),
    [("auto", "ok", "next start"), ("check", "failed", "does not start"), ("manual", "warning", "not run yet")],
)
async def test_missing_migrations_matter_as_the_settings_say(
    old: str, tmp_path: Path, mode: str, status: str, told: str
) -> None:
    diagnosis = await examined(settings(tmp_path / "data", database_url=old, migrations=mode))
    found = only(diagnosis, "database", "migrations")
    assert (found.status, found.facts["missing"]) == (status, [step.name for step in MIGRATIONS])
    assert told in found.found
    assert (found.advice == "Run: bodhi db upgrade") == (status != "ok")


async def test_a_damaged_file_is_told_as_such(tmp_path: Path) -> None:
    (tmp_path / "bodhi.db").write_bytes(b"this was a database once, and now it is not " * 100)
    found = only(await examined(settings(tmp_path)), "database")
    assert found.status == "failed"
    assert "file is not a database" in found.found


async def test_a_postgresql_that_is_away_is_a_failure_without_its_password(tmp_path: Path) -> None:
    found = only(await examined(settings(tmp_path, database_url="postgresql://ada:lovelace@127.0.0.1:9/n")), "database")
    assert found.status == "failed"
    assert "postgresql://ada:***@127.0.0.1:9/n cannot be used" in found.found
    assert "lovelace" not in str(found)


async def test_a_postgresql_that_never_answers_is_given_up_in_time(tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"postgresql://ada@127.0.0.1:{silent.getsockname()[1]}/notes"
        found = only(await examined(settings(tmp_path, database_url=url), time_limit_s=2), "database")
    assert (found.status, found.facts.get("code")) == ("failed", "database_unavailable")


async def test_a_postgresql_that_is_well_tells_version_and_missing_migrations(
    tmp_path: Path, postgres: Cluster
) -> None:
    url = postgres.create("well")
    diagnosis = await examined(settings(tmp_path, database_url=url, migrations="check"))
    found = only(diagnosis, "database")
    assert found.status == "ok"
    assert str(found.facts["version"]).startswith("PostgreSQL ")
    assert only(diagnosis, "database", "migrations").status == "failed"


async def test_a_postgresql_that_only_reads_is_a_failure(tmp_path: Path, postgres: Cluster) -> None:
    url = postgres.create("replica")
    database = Database(url)
    await database.open()
    async with database.transaction() as tx:
        await tx.execute(DDL("ALTER DATABASE replica SET default_transaction_read_only = on"))  # type: ignore[no-untyped-call]
    await database.close()
    found = only(await examined(settings(tmp_path, database_url=url)), "database")
    assert (found.status, "only reads" in found.found) == ("failed", True)


async def test_a_database_in_memory_is_asked_too(tmp_path: Path) -> None:
    diagnosis = await examined(settings(tmp_path, database_url="sqlite://", migrations="manual"))
    assert only(diagnosis, "database").status == "ok"
    assert only(diagnosis, "permissions", "database").found == "the database is no file"
    assert only(diagnosis, "settings", "database_url").status == "warning"


async def test_a_file_that_is_not_there_yet_is_made_by_an_upgrade_when_the_start_does_not(tmp_path: Path) -> None:
    found = only(await examined(settings(tmp_path, migrations="manual")), "database", "migrations")
    assert (found.status, found.advice) == ("warning", "Run: bodhi db upgrade")


async def test_a_database_below_a_file_or_in_place_of_a_folder_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for place, told in ((tmp_path / "file" / "bodhi.db", "which is a file"), (tmp_path, "is no file")):
        diagnosis = await examined(settings(tmp_path / "data", database_url=f"sqlite:///{place}"))
        found = only(diagnosis, "permissions", "database")
        assert (found.status, told in found.found) == ("failed", True)
