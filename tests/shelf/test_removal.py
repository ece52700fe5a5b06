"""Removing model files: what others share stays, what is empty goes, and nothing outside the cache is ever touched."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from bodhi_asgi.audit.service import AuditService
from bodhi_asgi.caller import Caller, Grants, ModelForbidden, Scope, ScopeMissing
from bodhi_asgi.clock import StillClock, SystemClock
from bodhi_asgi.db.database import Database
from bodhi_asgi.events.bus import EventBus
from bodhi_asgi.events.types import ModelFileRemoved
from bodhi_asgi.hub.locks import BlobLock
from bodhi_asgi.shelf.errors import ModelFileInUse, ModelFileNotFound, ModelFileNotOurs, ModelFileNotRemovable
from bodhi_asgi.shelf.holders import Hold, Intent
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.removal import remove
from bodhi_asgi.shelf.scan import Scanner
from bodhi_asgi.shelf.service import ShelfService
from bodhi_asgi.shelf.types import LocalFile, Removed
from tests.hub.tricks import BAD_REPOS, CLIMBING
from tests.shelf.hub_cache import NEW, OLD, HubCache
from tests.shelf.shelves import database_at, shelf_of

REPO = "owner/Model-GGUF"
SYSTEM = Caller.system()


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture
async def database(url: str) -> AsyncIterator[Database]:
    async with database_at(url) as database:
        yield database


@pytest.fixture
def events() -> EventBus:
    return EventBus()


@pytest.fixture
async def shelf(cache: HubCache, database: Database, events: EventBus, tmp_path: Path) -> AsyncIterator[ShelfService]:
    (tmp_path / "plain").mkdir()
    async with shelf_of(cache.path, database, folders=[tmp_path / "plain"], events=events) as shelf:
        yield shelf


def seen(cache: HubCache, filename: str, snapshot: str = NEW) -> LocalFile:
    look = Scanner(places(cache.path, []), StillClock()).look()
    return next(file for file in look.files if (file.filename, file.snapshot) == (filename, snapshot))


def everything(path: Path) -> dict[str, bytes | str]:
    """All files and links below a folder."""
    found: dict[str, bytes | str] = {}
    for folder, _, names in os.walk(path):
        for name in names:
            one = Path(folder, name)
            found[str(one.relative_to(path))] = str(one.readlink()) if one.is_symlink() else one.read_bytes()
    return found


def test_the_last_file_of_a_repository_takes_everything_with_it(cache: HubCache) -> None:
    cache.add(REPO, "deep/er/a.gguf", b"x" * 100, ref="main")
    cache.refer(REPO, "refs/pr/1", NEW)
    (cache.repo(REPO) / ".no_exist" / NEW).mkdir(parents=True)
    (cache.repo(REPO) / ".no_exist" / NEW / "config.json").touch()
    cache.add("other/repo", "b.gguf", ref="main")
    assert remove(cache.path, seen(cache, "deep/er/a.gguf")) == Removed(1, 100)
    assert not cache.repo(REPO).exists()
    assert [repo.repo_id for repo in scan_cache_dir(cache.path).repos] == ["other/repo"]


def test_bytes_that_another_snapshot_links_to_stay(cache: HubCache) -> None:
    cache.add(REPO, "a.gguf", b"same", snapshot=OLD, ref="old")
    cache.add(REPO, "a.gguf", b"same", snapshot=NEW, ref="main")
    assert remove(cache.path, seen(cache, "a.gguf", NEW)) == Removed(1, 0)
    assert (cache.repo(REPO) / "snapshots" / OLD / "a.gguf").read_bytes() == b"same"
    assert not (cache.repo(REPO) / "refs" / "main").exists()
    found = scan_cache_dir(cache.path)
    assert found.warnings == []
    (repo,) = found.repos
    assert {revision.commit_hash: set(revision.refs) for revision in repo.revisions} == {OLD: {"old"}}
    assert remove(cache.path, seen(cache, "a.gguf", OLD)) == Removed(1, 4)
    assert not cache.repo(REPO).exists()


def test_bytes_that_another_name_links_to_stay(cache: HubCache) -> None:
    cache.add(REPO, "a.gguf", b"same")
    cache.add(REPO, "sub/copy.gguf", b"same")
    assert remove(cache.path, seen(cache, "a.gguf")) == Removed(1, 0)
    assert seen(cache, "sub/copy.gguf").problem == ""


def test_other_files_of_the_snapshot_and_its_references_stay(cache: HubCache) -> None:
    cache.add(REPO, "a.gguf", b"a" * 10, ref="main")
    cache.add(REPO, "README.md", b"read me")
    assert remove(cache.path, seen(cache, "a.gguf")) == Removed(1, 10)
    (repo,) = scan_cache_dir(cache.path).repos
    (revision,) = repo.revisions
    assert set(revision.refs) == {"main"}
    assert [file.file_name for file in revision.files] == ["README.md"]


def test_all_parts_of_a_model_go(cache: HubCache) -> None:
    for number in (1, 2):
        cache.add(REPO, f"q/big-0000{number}-of-00002.gguf", b"x" * number)
    assert remove(cache.path, seen(cache, "q/big-00001-of-00002.gguf")) == Removed(2, 3)
    assert not cache.repo(REPO).exists()


def test_a_cache_without_links_works_as_well(cache: HubCache) -> None:
    link = cache.add(REPO, "a.gguf", b"x" * 10)
    blob = link.resolve()
    link.unlink()
    blob.replace(link)
    assert remove(cache.path, seen(cache, "a.gguf")) == Removed(1, 10)
    assert not cache.repo(REPO).exists()


def test_what_is_gone_already_is_removed_from_nothing(cache: HubCache) -> None:
    link = cache.add(REPO, "a.gguf")
    file = seen(cache, "a.gguf")
    link.unlink()
    assert remove(cache.path, file).files == 0
    assert remove(cache.path, file) == Removed(0, 0)
    assert remove(cache.path / "none", file) == Removed(0, 0)


def test_what_another_removes_meanwhile_is_no_fault(cache: HubCache, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.add(REPO, "a.gguf", b"x" * 100, ref="main")
    cache.refer(REPO, "other", NEW)
    file = seen(cache, "a.gguf")
    passing = [cache.add(REPO, "gone.gguf", b"y", snapshot=OLD), cache.repo(REPO) / "refs" / "other"]
    listed = os.scandir

    def removed_after(folder: int) -> list[os.DirEntry[str]]:
        entries = list(listed(folder))
        for path in passing:
            if path.name in {entry.name for entry in entries}:
                path.unlink(missing_ok=True)
        return entries

    monkeypatch.setattr(os, "scandir", removed_after)
    assert remove(cache.path, file) == Removed(1, 100)
    monkeypatch.undo()
    assert not (cache.repo(REPO) / "refs" / "main").exists()
    assert not (cache.repo(REPO) / "snapshots" / NEW).exists()


def test_a_broken_link_is_removed(cache: HubCache) -> None:
    cache.add(REPO, "a.gguf").resolve().unlink()
    assert remove(cache.path, seen(cache, "a.gguf")) == Removed(1, 0)
    assert not cache.repo(REPO).exists()


def test_what_has_arrived_of_a_download_stays(cache: HubCache) -> None:
    cache.add(REPO, "a.gguf", ref="main")
    part = cache.repo(REPO) / "blobs" / "abc.bodhi.part"
    part.write_bytes(b"half")
    remove(cache.path, seen(cache, "a.gguf"))
    assert part.read_bytes() == b"half"
    assert not (cache.repo(REPO) / "snapshots").exists()


def test_a_file_that_is_being_fetched_is_not_removed(cache: HubCache) -> None:
    blob = cache.add(REPO, "a.gguf").resolve()
    lock = BlobLock(cache.path / ".locks" / cache.repo(REPO).name / f"{blob.name}.lock")
    lock._path.parent.mkdir(parents=True)
    assert lock.take()
    try:
        with pytest.raises(ModelFileInUse, match="being downloaded"):
            remove(cache.path, seen(cache, "a.gguf"))
    finally:
        lock.release()
    assert remove(cache.path, seen(cache, "a.gguf")).files == 1


LINKED = ["models--owner--Model-GGUF", "snapshots", NEW, "sub", "blobs"]


@pytest.mark.parametrize("which", LINKED)
def test_no_folder_that_became_a_link_is_entered(cache: HubCache, tmp_path: Path, which: str) -> None:
    cache.add(REPO, "sub/a.gguf", b"precious", ref="main")
    file = seen(cache, "sub/a.gguf")
    folder = next(path for path in (cache.repo(REPO), *cache.repo(REPO).rglob("*")) if path.name == which)
    elsewhere = tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    before = everything(elsewhere)
    with pytest.raises(ModelFileNotOurs):
        remove(cache.path, file)
    assert everything(elsewhere) == before


@pytest.mark.parametrize(
    "target", ["../../../../outside/x.gguf", "/outside", "../../blobs/../../../outside/x.gguf", ".."]
)
def test_a_link_out_of_the_cache_is_removed_and_what_it_leads_to_stays(
    cache: HubCache, tmp_path: Path, target: str
) -> None:
    outside = tmp_path / "outside" / "x.gguf"
    outside.parent.mkdir()
    outside.write_bytes(b"precious")
    link = cache.add(REPO, "a.gguf")
    link.unlink()
    link.symlink_to(str(outside) if target == "/outside" else target)
    assert remove(cache.path, seen(cache, "a.gguf")) == Removed(1, 0)
    assert outside.read_bytes() == b"precious"
    assert not link.is_symlink()


async def test_a_file_is_deleted_audited_and_told_of(
    cache: HubCache, shelf: ShelfService, database: Database, events: EventBus
) -> None:
    cache.add(REPO, "a.gguf", b"GGUF1", ref="main")
    cache.add(REPO, "b.gguf", b"GGUF22", ref="main")
    with events.subscribe(ModelFileRemoved) as removals:
        assert await shelf.delete(SYSTEM, REPO, "a.gguf") == Removed(1, 5)
        assert await anext(removals) == ModelFileRemoved(REPO, "a.gguf", NEW)
    assert [file.filename for file in await shelf.files()] == ["b.gguf"]
    assert [found.file.filename for found in (await shelf.list(SYSTEM)).data] == ["b.gguf"]
    (row,) = (await AuditService(database=database, clock=SystemClock()).list(SYSTEM)).data
    assert (row.action, row.subject, row.caller_id) == ("model_file.delete", f"{REPO}/a.gguf", "system")
    with pytest.raises(ModelFileNotFound):
        await shelf.delete(SYSTEM, REPO, "a.gguf")


async def test_a_projector_goes_with_the_last_model_that_needs_it(cache: HubCache, shelf: ShelfService) -> None:
    for name in ("eye-Q4_0.gguf", "eye-Q8_0.gguf", "mmproj-eye-F16.gguf"):
        cache.add(REPO, name, name.encode())
    assert (await shelf.delete(SYSTEM, REPO, "eye-Q4_0.gguf")).files == 1
    assert (await shelf.delete(SYSTEM, REPO, "eye-Q8_0.gguf")).files == 2
    assert await shelf.files() == ()
    assert not cache.repo(REPO).exists()


class Held:
    """Holds a file by its name."""

    def __init__(self, filename: str) -> None:
        self.filename = filename

    async def holds(self, file: LocalFile, _: Intent) -> Hold | None:
        return Hold("is needed here") if file.filename == self.filename else None


async def test_a_file_that_somebody_holds_stays(cache: HubCache, shelf: ShelfService) -> None:
    cache.add(REPO, "eye.gguf", b"1")
    projector = cache.add(REPO, "mmproj-eye.gguf", b"2")
    held = Held("eye.gguf")
    shelf.ask(held)
    with pytest.raises(ModelFileInUse, match=r"'eye\.gguf' is needed here"):
        await shelf.delete(SYSTEM, REPO, "eye.gguf")
    assert len(await shelf.look()) == 2
    held.filename = "mmproj-eye.gguf"
    assert (await shelf.delete(SYSTEM, REPO, "eye.gguf")).files == 1
    assert projector.is_file()


async def test_a_file_of_a_plain_folder_is_never_removed(shelf: ShelfService, tmp_path: Path) -> None:
    mine = tmp_path / "plain" / "mine.gguf"
    mine.write_bytes(b"GGUF")
    with pytest.raises(ModelFileNotOurs):
        await shelf.delete(SYSTEM, "local/plain", "mine.gguf")
    assert mine.read_bytes() == b"GGUF"


async def test_who_may_not_write_or_use_the_model_removes_nothing(cache: HubCache, shelf: ShelfService) -> None:
    link = cache.add(REPO, "a-Q4_0.gguf")

    def caller(*scopes: Scope, **grants: object) -> Caller:
        return Caller.user("ann", scopes=scopes, grants=Grants(**grants))  # type: ignore[arg-type]

    with pytest.raises(ScopeMissing):
        await shelf.delete(caller(Scope.MODELS_READ, all_models=True), REPO, "a-Q4_0.gguf")
    with pytest.raises(ModelFileNotFound):
        await shelf.delete(caller(Scope.MODELS_WRITE), REPO, "a-Q4_0.gguf")
    with pytest.raises(ModelForbidden):
        await shelf.delete(caller(Scope.MODELS_WRITE, list_models=True), REPO, "a-Q4_0.gguf")
    assert link.is_file()
    granted = caller(Scope.MODELS_WRITE, models=frozenset({f"{REPO}:Q4_0"}))
    assert (await shelf.delete(granted, REPO, "a-Q4_0.gguf")).files == 1


async def test_a_file_system_that_refuses_is_told_as_such(
    cache: HubCache, shelf: ShelfService, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache.add(REPO, "a.gguf")

    def refuse(*_: object) -> Removed:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("bodhi_asgi.shelf.disposal.remove", refuse)
    with pytest.raises(ModelFileNotRemovable, match="Permission denied"):
        await shelf.delete(SYSTEM, REPO, "a.gguf")


async def test_no_trick_in_a_name_reaches_anything(tmp_path: Path) -> None:
    cache = HubCache(tmp_path / "hub")
    cache.add(REPO, "a.gguf", ref="main")
    (tmp_path / "x.gguf").write_bytes(b"precious")
    before = everything(tmp_path)
    tricks = [(REPO, name, "main") for name in CLIMBING]
    tricks += [(repo, "a.gguf", "main") for repo in BAD_REPOS]
    tricks += [(REPO, "a.gguf", name) for name in CLIMBING if name]
    assert len(tricks) > 300
    async with database_at("sqlite://") as database, shelf_of(cache.path, database, watch_s=60) as shelf:
        for repo, filename, snapshot in tricks:
            with pytest.raises(ModelFileNotFound):
                await shelf.delete(SYSTEM, repo, filename, snapshot)
    assert everything(tmp_path) == before
