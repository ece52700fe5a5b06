"""Folders listed again only when they have changed, and never through a link that leads out of them.

A folder's time of change says whether names came or went. A folder that changed a moment ago is not believed yet: the
clocks of file systems tick slowly, and a second change within a tick leaves the time as it was.
"""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bodhi_asgi.clock import Clock

SETTLES_S: Final = 2.0
"""Seconds for which a folder must have had the same time of change, before it is not read again."""

MAX_ENTRIES: Final = 20_000
"""Names read of one folder; a folder with more holds no models."""

SUFFIX: Final = ".gguf"


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a folder: its name, where it really lies, and whether a link led there."""

    name: str
    real: str
    is_link: bool


@dataclass(frozen=True, slots=True)
class Listing:
    """The folders and model files in a folder, by name. ``problem`` says why there are none."""

    folders: tuple[str, ...] = ()
    linked: tuple[str, ...] = ()
    files: tuple[Found, ...] = ()
    problem: str = ""


@dataclass(slots=True)
class _Known:
    changed_ns: int
    since_s: float
    listed_s: float
    listing: Listing

    @property
    def is_settled(self) -> bool:
        return self.listed_s - self.since_s >= SETTLES_S


class Listings:
    """Remembers what was listed. Used from one thread at a time."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._asked: set[str] = set()

    def of(self, folder: str) -> Listing:
        """What is in ``folder``; nothing and a problem when it cannot be read. Blocking."""
        self._asked.add(folder)
        try:
            changed_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116  a path object costs more than the call
        except OSError as error:
            self._known.pop(folder, None)
            return Listing(problem="" if isinstance(error, FileNotFoundError) else told(folder, error))
        now_s = self._clock.monotonic()
        known = self._known.get(folder)
        is_same = known is not None and known.changed_ns == changed_ns
        if known is not None and is_same and known.is_settled:
            return known.listing
        since_s = known.since_s if known is not None and is_same else now_s
        try:
            listing = _listed(folder)
        except OSError as error:
            return Listing(problem=told(folder, error))
        self._known[folder] = _Known(changed_ns, since_s, now_s, listing)
        return listing

    def are_still(self) -> bool:
        """Whether every folder that is known would be listed as it was. Blocking, and costs one call for each."""
        try:
            return all(
                known.is_settled and os.stat(folder).st_mtime_ns == known.changed_ns  # noqa: PTH116
                for folder, known in self._known.items()
            )
        except OSError:
            return False

    def forget_others(self) -> None:
        """Forget the folders that nobody has asked for since this was called last."""
        for folder in self._known.keys() - self._asked:
            del self._known[folder]
        self._asked.clear()


def told(path: str, error: OSError) -> str:
    """What went wrong at a path, in words that can be printed."""
    return f"{Path(path).name!a}: {error.strerror or type(error).__name__}"


def is_model_name(name: str) -> bool:
    """Whether a file of this name may be a model's. Names that cannot be shown or kept as text are none."""
    return name[-len(SUFFIX) :].lower() == SUFFIX and name.isprintable()


def _listed(folder: str) -> Listing:
    folders: list[str] = []
    linked: list[str] = []
    files: list[Found] = []
    with os.scandir(folder) as entries:
        for number, entry in enumerate(entries):
            if number >= MAX_ENTRIES:
                return Listing(problem=f"{Path(folder).name!a}: more than {MAX_ENTRIES} entries")
            is_link = entry.is_symlink()
            if is_model_name(entry.name) and not entry.is_dir(follow_symlinks=False):
                files.append(Found(entry.name, os.path.realpath(entry.path) if is_link else entry.path, is_link))
            elif entry.name.isprintable() and entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
            elif is_link and entry.name.isprintable() and _is_folder(entry.path):
                linked.append(entry.name)
    return Listing(tuple(sorted(folders)), tuple(sorted(linked)), tuple(sorted(files, key=lambda file: file.name)))


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116
    except OSError:
        return False
