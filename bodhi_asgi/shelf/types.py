"""A model file as it lies on this machine, and a look at all of them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

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
