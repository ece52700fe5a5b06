"""A model file as it lies on this machine, what is known of it, and a look at all of them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bodhi_asgi.gguf.facts import GgufFacts

MAIN: Final = "main"
"""The revision of a file that has no other: one in a plain folder."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder that is looked through: the Hugging Face cache, or a plain one, whose files are of ``local/<name>``."""

    path: Path
    name: str = ""

    @property
    def is_cache(self) -> bool:
        return not self.name


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A model file: one, or all parts of a split one, which is named by its first.

    ``filename`` is the path inside the snapshot or folder, with ``/``; ``snapshot`` a commit, or ``main`` in a plain
    folder; ``is_current`` says whether ``main`` means this snapshot. ``path`` is what an engine is to be given: in the
    cache a link, beside which the links to the other parts lie. ``size_bytes`` counts all ``shards`` (empty for a file
    in one piece), ``modified_ns`` is the time of the newest. ``projector`` is the ``filename`` of the one that belongs
    to it. ``problem`` says why it cannot be used, as far as a look from outside tells.
    """

    repo: str
    filename: str
    snapshot: str
    path: Path
    size_bytes: int
    modified_ns: int
    is_current: bool = True
    in_cache: bool = True
    shards: tuple[str, ...] = ()
    projector: str = ""
    is_projector: bool = False
    problem: str = ""

    @property
    def paths(self) -> tuple[Path, ...]:
        """Every file it consists of, in order."""
        return tuple(self.path.with_name(shard.rpartition("/")[2]) for shard in self.shards) or (self.path,)


@dataclass(frozen=True, slots=True)
class Look:
    """What was found: files by repository, name and snapshot, and in words what could not be looked at."""

    files: tuple[LocalFile, ...] = ()
    problems: tuple[str, ...] = ()


class FileState(StrEnum):
    """Whether a file's header has been read, and whether the file can be used."""

    UNREAD = "unread"
    READ = "read"
    UNUSABLE = "unusable"


@dataclass(frozen=True, slots=True)
class Description:
    """What a header told: facts and what the model can do, or in words why the file is no model."""

    facts: GgufFacts | None = None
    capabilities: tuple[str, ...] = ()
    problem: str = ""


@dataclass(frozen=True, slots=True)
class ShelvedFile:
    """A file with what is known of it. ``file.problem`` includes what its header told; ``projector_bytes`` is the size
    of the projector that belongs to it, where that was asked for."""

    key: str
    file: LocalFile
    state: FileState
    facts: GgufFacts | None
    capabilities: tuple[str, ...]
    found_at: datetime
    last_used_at: datetime | None
    projector_bytes: int | None = None

    @property
    def last_wanted_at(self) -> datetime:
        """When it was last used, or if it never was, when it came."""
        return self.last_used_at or self.found_at


FileSort: TypeAlias = Literal["repo", "filename", "snapshot", "size"]


@dataclass(frozen=True, slots=True)
class FileQuery:
    """Which files, in which order. ``search`` is a part of the repository or name, sizes are in bytes, both included;
    a model must have all ``capabilities``."""

    page: int = 1
    page_size: int = 30
    sort: FileSort = "repo"
    descending: bool = False
    search: str = ""
    size_min: int | None = None
    size_max: int | None = None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Removed:
    """What a deletion removed: so many names, and the bytes that it freed; fewer where others share them."""

    files: int
    freed_bytes: int
