"""Finding model files: in every corner of the cache, in plain folders, and past everything that should not be there."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from huggingface_hub import scan_cache_dir

from bodhi_asgi.clock import StillClock
from bodhi_asgi.shelf import scan as scanning
from bodhi_asgi.shelf.listings import SETTLES_S, Listings
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.scan import Scanner
from bodhi_asgi.shelf.types import LocalFile, Look
from tests.shelf.hub_cache import NEW, OLD, HubCache

REPO = "owner/Model-GGUF"


@pytest.fixture
def cache(tmp_path: Path) -> HubCache:
    return HubCache(tmp_path / "hub")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "my models"
    path.mkdir()
    return path


@pytest.fixture
def look(cache: HubCache, folder: Path) -> Callable[[], Look]:
    return Scanner(places(cache.path, [folder]), StillClock()).look


def only(look: Look) -> LocalFile:
    (file,) = look.files
    return file


def names(look: Look) -> list[str]:
    return [file.filename for file in look.files]


def test_a_file_of_the_cache_is_found_with_its_repository_name_and_snapshot(
    cache: HubCache, look: Callable[[], Look]
) -> None:
    link = cache.add(REPO, "model-Q4_K_M.gguf", b"x" * 100, ref="main")
    file = only(look())
    assert (file.repo, file.filename, file.snapshot, file.size_bytes) == (REPO, "model-Q4_K_M.gguf", NEW, 100)
    assert file.path == link
    assert file.paths == (link,)
    assert file.in_cache
    assert file.is_current
    assert file.problem == ""
    assert file.modified_ns == link.stat().st_mtime_ns


def test_huggingface_hub_reads_the_layout_of_these_tests_as_its_own(cache: HubCache) -> None:
    cache.add(REPO, "a.gguf", b"aa", ref="main")
    cache.add(REPO, "sub/b.gguf", b"bbb", snapshot=OLD)
    found = scan_cache_dir(cache.path)
    assert found.warnings == []
    (repo,) = found.repos
    assert (repo.repo_id, repo.size_on_disk, repo.nb_files) == (REPO, 5, 2)
    assert {revision.commit_hash: set(revision.refs) for revision in repo.revisions} == {NEW: {"main"}, OLD: set()}


def test_every_revision_is_listed_and_the_current_one_is_marked(cache: HubCache, look: Callable[[], Look]) -> None:
    cache.add(REPO, "a.gguf", b"old", snapshot=OLD)
    cache.add(REPO, "a.gguf", b"new", snapshot=NEW)
    cache.refer(REPO, "main", OLD)
    assert [(file.snapshot, file.is_current) for file in look().files] == [(OLD, True), (NEW, False)]
    cache.refer(REPO, "main", NEW)
    assert [(file.snapshot, file.is_current) for file in look().files] == [(OLD, False), (NEW, True)]


def test_files_in_sub_folders_and_repositories_without_an_owner_are_found(
    cache: HubCache, look: Callable[[], Look]
) -> None:
    cache.add(REPO, "Q4_K_M/deep/model.GGUF")
    cache.add("tiny", "t.gguf")
    assert [(file.repo, file.filename) for file in look().files] == [
        (REPO, "Q4_K_M/deep/model.GGUF"),
        ("tiny", "t.gguf"),
    ]


def test_what_is_no_model_file_is_left_out(cache: HubCache, look: Callable[[], Look]) -> None:
    cache.add(REPO, "README.md")
    cache.add(REPO, "model.gguf.part")
    (cache.repo(REPO) / "blobs" / "abc.incomplete").write_bytes(b"GGUF")
    (cache.path / "datasets--owner--data" / "snapshots" / NEW).mkdir(parents=True)
    (cache.path / "datasets--owner--data" / "snapshots" / NEW / "x.gguf").write_bytes(b"GGUF")
    (cache.path / "loose.gguf").write_bytes(b"GGUF")
    assert look() == Look()


def test_a_cache_that_does_not_exist_is_empty(tmp_path: Path) -> None:
    assert Scanner(places(tmp_path / "none", [tmp_path / "neither"]), StillClock()).look() == Look()


def test_the_parts_of_a_model_are_one_file(cache: HubCache, look: Callable[[], Look]) -> None:
    for number in (1, 2, 3):
        cache.add(REPO, f"q8/big-Q8_0-0000{number}-of-00003.gguf", b"x" * number)
    file = only(look())
    assert file.filename == "q8/big-Q8_0-00001-of-00003.gguf"
    assert file.size_bytes == 6
    assert [path.name for path in file.paths] == [f"big-Q8_0-0000{number}-of-00003.gguf" for number in (1, 2, 3)]
    assert all(path.is_file() for path in file.paths)
    assert file.problem == ""


def test_a_model_that_lacks_parts_says_which(cache: HubCache, look: Callable[[], Look]) -> None:
    cache.add(REPO, "big-00002-of-00003.gguf")
    assert only(look()).problem == "it lacks 2 of its 3 parts, first number 1"


def test_a_number_of_parts_that_cannot_be_is_not_counted_up_to(cache: HubCache, look: Callable[[], Look]) -> None:
    cache.add(REPO, "big-00001-of-99999.gguf")
    assert only(look()).problem == "it claims to have 99999 parts"


def test_a_projector_stands_beside_its_model(cache: HubCache, look: Callable[[], Look]) -> None:
    cache.add(REPO, "Eye-7B-Q4_K_M.gguf")
    cache.add(REPO, "mmproj-Eye-7B-F32.gguf")
    cache.add(REPO, "mmproj-Eye-7B-F16.gguf")
    found = {file.filename: file for file in look().files}
    assert found["Eye-7B-Q4_K_M.gguf"].projector == "mmproj-Eye-7B-F16.gguf"
    assert found["mmproj-Eye-7B-F16.gguf"].is_projector
    assert found["mmproj-Eye-7B-F16.gguf"].projector == ""


def test_in_a_plain_folder_a_projector_belongs_to_the_model_it_is_named_after(
    folder: Path, look: Callable[[], Look]
) -> None:
    for name in ("eye-4b.gguf", "talk-1b.gguf", "mmproj-eye-4b.gguf"):
        (folder / name).write_bytes(b"GGUF")
    found = {file.filename: file.projector for file in look().files}
    assert found == {"eye-4b.gguf": "mmproj-eye-4b.gguf", "talk-1b.gguf": "", "mmproj-eye-4b.gguf": ""}


def test_files_of_a_plain_folder_are_of_a_repository_with_its_name(folder: Path, look: Callable[[], Look]) -> None:
    (folder / "owner").mkdir()
    (folder / "owner" / "m.gguf").write_bytes(b"GGUF")
    file = only(look())
    assert (file.repo, file.filename, file.snapshot, file.in_cache) == (
        "local/my-models",
        "owner/m.gguf",
        "main",
        False,
    )


def test_two_folders_of_one_name_are_told_apart() -> None:
    found = places(Path("/c"), [Path("/a/models"), Path("/b/models"), Path("/c/…")])
    assert [place.name for place in found] == ["", "models", "models-2", "models-3"]


@pytest.mark.parametrize("way", ["absolute", "relative", "through a folder"])
def test_a_link_that_leads_out_of_the_cache_is_not_followed(
    cache: HubCache, look: Callable[[], Look], tmp_path: Path, way: str
) -> None:
    outside = tmp_path / "outside" / "secret.gguf"
    outside.parent.mkdir()
    outside.write_bytes(b"GGUF" * 1000)
    link = cache.add(REPO, "a.gguf")
    link.unlink()
    if way == "absolute":
        link.symlink_to(outside)
    elif way == "relative":
        link.symlink_to(Path(os.path.relpath(outside, link.parent)))
    else:
        (cache.path / "door").symlink_to(outside.parent)
        link.symlink_to(cache.path / "door" / "secret.gguf")
    file = only(look())
    assert file.size_bytes == 0
    assert file.problem == "its link leads to a place that is not looked through"


def test_a_link_from_a_folder_into_the_cache_is_followed(
    cache: HubCache, folder: Path, look: Callable[[], Look]
) -> None:
    blob = cache.add(REPO, "a.gguf", b"GGUFGGUF").resolve()
    (folder / "mine.gguf").symlink_to(blob)
    assert [(file.filename, file.size_bytes, file.problem) for file in look().files] == [
        ("mine.gguf", 8, ""),
        ("a.gguf", 8, ""),
    ]


def test_a_link_to_nothing_and_a_link_to_itself_are_listed_with_the_reason(
    cache: HubCache, look: Callable[[], Look]
) -> None:
    link = cache.add(REPO, "gone.gguf")
    link.resolve().unlink()
    ring = link.with_name("ring.gguf")
    ring.symlink_to("ring.gguf")
    found = {file.filename: file.problem for file in look().files}
    assert found["gone.gguf"] == "its link leads to nothing"
    assert found["ring.gguf"].startswith("it cannot be looked at (")


def test_a_cache_whose_own_path_is_a_link_works_like_any_other(cache: HubCache, tmp_path: Path) -> None:
    cache.add(REPO, "a.gguf")
    (tmp_path / "elsewhere").symlink_to(cache.path)
    assert only(Scanner(places(tmp_path / "elsewhere", []), StillClock()).look()).problem == ""


def test_folders_that_link_to_each_other_are_walked_once(folder: Path, look: Callable[[], Look]) -> None:
    (folder / "a").mkdir()
    (folder / "b").mkdir()
    (folder / "a" / "m.gguf").write_bytes(b"GGUF")
    (folder / "a" / "to-b").symlink_to(folder / "b")
    (folder / "b" / "to-a").symlink_to(folder / "a")
    (folder / "up").symlink_to(folder)
    assert len(look().files) == 1


def test_a_linked_folder_outside_is_told_of_and_not_walked(
    folder: Path, tmp_path: Path, look: Callable[[], Look]
) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "m.gguf").write_bytes(b"GGUF")
    (folder / "out").symlink_to(tmp_path / "outside")
    found = look()
    assert found.files == ()
    assert found.problems == ("'out': the link leads to a folder that is not looked through",)


def test_linked_folders_of_a_snapshot_are_not_walked(cache: HubCache, look: Callable[[], Look]) -> None:
    link = cache.add(REPO, "a.gguf")
    (link.parent / "again").symlink_to(link.parent)
    assert names(look()) == ["a.gguf"]


def test_the_walk_ends_at_a_depth(folder: Path, look: Callable[[], Look]) -> None:
    deepest = folder.joinpath(*["d"] * (scanning.MAX_DEPTH + 1))
    deepest.mkdir(parents=True)
    (deepest.parent / "near.gguf").write_bytes(b"GGUF")
    (deepest / "far.gguf").write_bytes(b"GGUF")
    assert [Path(name).name for name in names(look())] == ["near.gguf"]


def test_the_walk_ends_at_a_number_of_folders(
    folder: Path, look: Callable[[], Look], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scanning, "MAX_FOLDERS", 3)
    for number in range(5):
        (folder / str(number)).mkdir()
    assert look().problems == ("more than 3 folders; the others are not looked into",)


def test_a_folder_of_too_many_names_is_not_read(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bodhi_asgi.shelf.listings.MAX_ENTRIES", 2)
    for number in range(3):
        (folder / f"{number}.gguf").write_bytes(b"GGUF")
    assert Listings(StillClock()).of(str(folder)).problem == "'my models': more than 2 entries"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["pipe", "folder"])
def test_what_only_looks_like_a_file_is_listed_as_none_or_walked(
    folder: Path, look: Callable[[], Look], make: Callable[[Path], None]
) -> None:
    make(folder / "m.gguf")
    found = look()
    assert found.files == () or only(found).problem == "it is no file"
    assert (found.files == ()) is (make is os.mkdir)


def test_an_empty_file_says_so_until_it_is_filled(folder: Path, look: Callable[[], Look]) -> None:
    (folder / "m.gguf").touch()
    assert only(look()).problem == "it is empty"
    (folder / "m.gguf").write_bytes(b"GGUF")
    assert only(look()).problem == ""


@pytest.mark.parametrize("name", [b"\xff.gguf", b"line\nbreak.gguf", b"esc\x1b[31m.gguf", b"\xe2\x80\xaegpj.gguf"])
def test_names_that_cannot_be_shown_are_left_out(folder: Path, look: Callable[[], Look], name: bytes) -> None:
    Path(os.fsdecode(os.fsencode(folder) + b"/" + name)).write_bytes(b"GGUF")
    assert look() == Look()


@pytest.mark.parametrize(
    "name", ["models--a--b--c", "models--" + "x" * 200, "models--..", "models--.a--b", "models--é--b"]
)
def test_folders_that_are_named_like_no_repository_are_left_out(cache: HubCache, name: str) -> None:
    snapshot = cache.path / name / "snapshots" / NEW
    snapshot.mkdir(parents=True)
    (snapshot / "m.gguf").write_bytes(b"GGUF")
    assert Scanner(places(cache.path, []), StillClock()).look() == Look()


def test_a_reference_that_is_a_link_a_folder_or_nonsense_means_nothing(
    cache: HubCache, look: Callable[[], Look], tmp_path: Path
) -> None:
    cache.add(REPO, "a.gguf")
    cache.refer(REPO, "main", "\x00\xff" * 500)
    assert not only(look()).is_current
    main = cache.repo(REPO) / "refs" / "main"
    main.unlink()
    (tmp_path / "hash").write_text(NEW)
    main.symlink_to(tmp_path / "hash")
    assert not only(look()).is_current
    main.unlink()
    main.mkdir()
    assert not only(look()).is_current


def test_only_changed_folders_are_read_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = StillClock()
    scanner = Scanner(places(folder / "none", [folder]), clock)
    (folder / "a").mkdir()
    (folder / "a" / "m.gguf").write_bytes(b"GGUF")
    scanner.look()
    clock.advance(SETTLES_S)
    scanner.look()
    read: list[str] = []
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: read.append(str(path)) or scandir(path))
    assert names(scanner.look()) == ["a/m.gguf"]
    assert read == []
    (folder / "a" / "n.gguf").write_bytes(b"GGUF")
    assert names(scanner.look()) == ["a/m.gguf", "a/n.gguf"]
    assert read == [str(folder / "a")]
    (folder / "a" / "m.gguf").write_bytes(b"GGUF, and more")
    assert [file.size_bytes for file in scanner.look().files] == [14, 4]


def test_a_look_tells_whether_another_would_find_the_same(cache: HubCache) -> None:
    clock = StillClock()
    scanner = Scanner(places(cache.path, []), clock)
    assert not scanner.is_still()
    cache.add(REPO, "a.gguf")
    scanner.look()
    assert not scanner.is_still()  # it may change again within a tick of the file system's clock
    clock.advance(SETTLES_S)
    scanner.look()
    assert scanner.is_still()
    cache.add(REPO, "b.gguf")
    assert not scanner.is_still()
    scanner.look()
    clock.advance(SETTLES_S)
    scanner.look()
    assert scanner.is_still()
    cache.add("other/repo", "c.gguf")
    assert not scanner.is_still()


def test_a_folder_that_changed_a_moment_ago_is_read_again(folder: Path) -> None:
    clock = StillClock()
    scanner = Scanner(places(folder / "none", [folder]), clock)
    (folder / "a.gguf").write_bytes(b"GGUF")
    at = folder.stat().st_mtime_ns
    scanner.look()
    clock.advance(SETTLES_S / 2)
    (folder / "b.gguf").write_bytes(b"GGUF")
    os.utime(folder, ns=(at, at))
    assert names(scanner.look()) == ["a.gguf", "b.gguf"]


def test_folders_that_went_are_forgotten(folder: Path, look: Callable[[], Look]) -> None:
    (folder / "a").mkdir()
    (folder / "a" / "m.gguf").write_bytes(b"GGUF")
    assert len(look().files) == 1
    (folder / "a" / "m.gguf").unlink()
    (folder / "a").rmdir()
    assert look() == Look()


def test_one_folder_under_two_names_is_looked_through_once(cache: HubCache, folder: Path, tmp_path: Path) -> None:
    (folder / "m.gguf").write_bytes(b"GGUF")
    (tmp_path / "other").symlink_to(folder)
    assert len(Scanner(places(cache.path, [folder, tmp_path / "other"]), StillClock()).look().files) == 1


@pytest.fixture
def shared() -> Iterator[Path]:
    """A folder that every user of the machine may enter."""
    with tempfile.TemporaryDirectory(prefix="bodhi-test-") as path:
        Path(path).chmod(0o755)
        yield Path(path)


NOBODY = """
import json, os, sys
from pathlib import Path
from bodhi_asgi.clock import StillClock
from bodhi_asgi.shelf.places import places
from bodhi_asgi.shelf.scan import Scanner
if os.geteuid() == 0:  # to whom nothing is closed
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
look = Scanner(places(Path(sys.argv[1]), []), StillClock()).look()
print(json.dumps([[file.filename for file in look.files], look.problems]))
"""


def test_folders_that_may_not_be_read_are_told_of_and_the_others_found(shared: Path) -> None:
    cache = HubCache(shared / "hub")
    cache.add("a/open", "open.gguf")
    closed = cache.add("a/closed", "closed.gguf").parent
    closed.chmod(0)
    try:
        done = subprocess.run(
            [sys.executable, "-c", NOBODY, str(cache.path)],
            capture_output=True, text=True, cwd=Path(__file__).parents[2], check=False, timeout=60,
        )  # fmt: skip
    finally:
        closed.chmod(0o755)
    assert done.returncode == 0, done.stderr
    found, problems = json.loads(done.stdout)
    assert found == ["open.gguf"]
    assert problems == [f"'{NEW}': Permission denied"]
