"""Looks through the Hugging Face cache and plain folders for model files. Blocking; for one thread of its own.

Believes nothing it meets: links count only when they end inside a place that is looked through, circles are walked
once, what cannot be read becomes a problem to tell of, and no folder is deep or full enough to hold up the look.
"""

import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.clock import Clock
from bodhi_asgi.opening import NO_LINK, NO_WAITING
from bodhi_asgi.shelf.groups import Piece, grouped
from bodhi_asgi.shelf.listings import Found, Listings, told
from bodhi_asgi.shelf.types import MAIN, LocalFile, Look, Place

REPO_FOLDER: Final = "models--"
REPO: Final = re.compile(r"(?:\w[\w.-]{0,95}/)?\w[\w.-]{0,95}", re.ASCII)
REVISION: Final = re.compile(r"[0-9A-Za-z][\w.-]{0,63}", re.ASCII)
MAX_DEPTH: Final = 8
MAX_FOLDERS: Final = 50_000
MAX_PROBLEMS: Final = 100
REF_BYTES: Final = 128


@dataclass(frozen=True, slots=True)
class _Snapshot:
    """A folder whose files share a repository and a revision."""

    path: str
    repo: str
    revision: str
    is_current: bool
    in_cache: bool


class Scanner:
    """Looks again and again, and reads only the folders that changed. Used from one thread at a time."""

    def __init__(self, places: Sequence[Place], clock: Clock) -> None:
        self._places = places
        self._listings = Listings(clock)
        self._problems: list[str] = []
        self._folders = 0
        self._has_looked = False

    def is_still(self) -> bool:
        """Whether no folder has changed since the last look; files that were written into are not asked for."""
        return self._has_looked and self._listings.are_still()

    def look(self) -> Look:
        """Everything there is now. A place that does not exist is empty."""
        self._problems = []
        self._folders = 0
        roots = [os.path.realpath(place.path) for place in self._places]
        found: list[LocalFile] = []
        for number, (place, root) in enumerate(zip(self._places, roots, strict=True)):
            if root in roots[:number]:
                continue  # the same folder under another name
            for snapshot in self._snapshots(place, root):
                found += grouped(
                    self._pieces(snapshot, roots),
                    repo=snapshot.repo,
                    snapshot=snapshot.revision,
                    folder=Path(snapshot.path),
                    is_current=snapshot.is_current,
                    in_cache=snapshot.in_cache,
                )
        self._listings.forget_others()
        self._has_looked = True
        found.sort(key=lambda file: (file.repo, file.filename, file.snapshot))
        return Look(tuple(found), tuple(self._problems[:MAX_PROBLEMS]))

    def _snapshots(self, place: Place, root: str) -> Iterator[_Snapshot]:
        if not place.is_cache:
            yield _Snapshot(root, f"local/{place.name}", MAIN, is_current=True, in_cache=False)
            return
        for name in self._names(root):
            repo = name.removeprefix(REPO_FOLDER).replace("--", "/")
            if not name.startswith(REPO_FOLDER) or REPO.fullmatch(repo) is None:
                continue
            revisions = self._names(f"{root}/{name}/snapshots")
            current = self._main(f"{root}/{name}") if revisions else ""
            for revision in revisions:
                if REVISION.fullmatch(revision):
                    path = f"{root}/{name}/snapshots/{revision}"
                    yield _Snapshot(path, repo, revision, is_current=revision == current, in_cache=True)

    def _names(self, folder: str) -> tuple[str, ...]:
        listing = self._listings.of(folder)
        self._note(listing.problem)
        return listing.folders

    def _main(self, repo: str) -> str:
        """The commit that ``main`` means, as the cache last heard; empty if it never did."""
        try:
            descriptor = os.open(f"{repo}/refs/{MAIN}", os.O_RDONLY | NO_LINK | NO_WAITING)
        except OSError:
            return ""
        try:
            return os.read(descriptor, REF_BYTES).decode("ascii", "replace").strip()
        except OSError:
            return ""
        finally:
            os.close(descriptor)

    def _pieces(self, snapshot: _Snapshot, roots: Sequence[str]) -> Iterator[Piece]:
        """Every model file below a folder, its name from there on."""
        # In the cache only files are links; a plain folder may have linked folders, of which each is walked once.
        walked: set[tuple[int, int]] = set()
        waiting = [(snapshot.path, "", 0)]
        while waiting:
            folder, below, depth = waiting.pop()
            if not snapshot.in_cache and not self._is_new(folder, walked):
                continue
            listing = self._listings.of(folder)
            self._note(listing.problem)
            self._folders += 1
            if self._folders > MAX_FOLDERS:
                self._note(f"more than {MAX_FOLDERS} folders; the others are not looked into")
                return
            for found in listing.files:
                piece = self._piece(found, below, roots)
                if piece is not None:
                    yield piece
            if depth < MAX_DEPTH:
                waiting += [(f"{folder}/{name}", f"{below}{name}/", depth + 1) for name in listing.folders]
                for name in listing.linked if not snapshot.in_cache else ():
                    real = os.path.realpath(f"{folder}/{name}")
                    if _is_inside(real, roots):
                        waiting.append((f"{folder}/{name}", f"{below}{name}/", depth + 1))
                    else:
                        self._note(f"{name!a}: the link leads to a folder that is not looked through")

    def _is_new(self, folder: str, walked: set[tuple[int, int]]) -> bool:
        try:
            status = os.stat(folder)  # noqa: PTH116
        except OSError as error:
            self._note("" if isinstance(error, FileNotFoundError) else told(folder, error))
            return False
        identity = (status.st_dev, status.st_ino)
        if identity in walked:
            return False
        walked.add(identity)
        return True

    def _piece(self, found: Found, below: str, roots: Sequence[str]) -> Piece | None:
        name = f"{below}{found.name}"
        if found.is_link and not _is_inside(found.real, roots):
            return Piece(name, 0, 0, "its link leads to a place that is not looked through")
        try:
            status = os.stat(found.real)  # noqa: PTH116
        except FileNotFoundError:
            return Piece(name, 0, 0, "its link leads to nothing") if found.is_link else None
        except OSError as error:
            return Piece(name, 0, 0, f"it cannot be looked at ({error.strerror or type(error).__name__})")
        if not stat.S_ISREG(status.st_mode):
            return Piece(name, 0, 0, "it is no file")
        return Piece(name, status.st_size, status.st_mtime_ns, "" if status.st_size else "it is empty")

    def _note(self, problem: str) -> None:
        if problem and len(self._problems) < MAX_PROBLEMS:
            self._problems.append(problem)


def _is_inside(real: str, roots: Sequence[str]) -> bool:
    return any(real.startswith(f"{root.rstrip('/')}/") for root in roots)
