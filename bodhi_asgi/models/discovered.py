"""The names of files that lie on this machine: ``owner/repo:Q4_K_M``, without anybody having given them one."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bodhi_asgi.gguf.names import base_of, first_of, kind_of, qualifier
from bodhi_asgi.shelf.types import MAIN, LocalFile, ShelvedFile

MAX_NAME: Final = 256
LOCAL: Final = "local/"
"""How the repositories of plain folders begin, in which files of many models lie side by side."""


class Shelf(Protocol):
    """Where the files of this machine are known."""

    async def files(self) -> tuple[LocalFile, ...]:
        """All of them, as they were seen last."""
        ...

    async def find(self, repo: str, filename: str, snapshot: str = MAIN) -> LocalFile | None:
        """One of them."""
        ...

    async def known(self, files: Iterable[LocalFile]) -> Mapping[LocalFile, ShelvedFile]:
        """What the headers of these told."""
        ...


@dataclass(frozen=True, slots=True)
class Index:
    """What was seen last: models by name, in order, and files by repository, name and revision."""

    named: Mapping[str, LocalFile]
    placed: Mapping[tuple[str, str, str], LocalFile]


class DiscoveredModels:
    """The models among the files by name."""

    def __init__(self, shelf: Shelf) -> None:
        self._shelf = shelf
        self._seen: tuple[LocalFile, ...] = ()
        self._index = Index({}, {})

    async def index(self) -> Index:
        """All of them; the same object until something has changed."""
        files = await self._shelf.files()
        if files is not self._seen:
            placed = {(file.repo, file.filename, file.snapshot): file for file in files}
            self._seen, self._index = files, Index(named(files), placed)
        return self._index

    async def find(self, name: str) -> LocalFile | None:
        """The model of this name."""
        return (await self.index()).named.get(name)

    async def file(self, repo: str, filename: str, snapshot: str) -> LocalFile | None:
        """The file at this place; any part of a split model stands for all of it."""
        placed = (await self.index()).placed
        found = placed.get((repo, filename, snapshot)) or placed.get((repo, first_of(filename), snapshot))
        return await self._shelf.find(repo, filename, snapshot) if found is None and snapshot == MAIN else found

    async def name_of(self, repo: str, filename: str) -> str:
        """What the file is called, or would be if it were there."""
        found = (await self.index()).named
        for name in (name_of(repo, filename), f"{repo}:{base_of(filename)}"):
            if name in found and found[name].filename == filename:
                return name
        return name_of(repo, filename)

    async def known(self, files: Iterable[LocalFile]) -> Mapping[LocalFile, ShelvedFile]:
        """What the headers of these files told."""
        return await self._shelf.known(files)

    async def projector(self, model: LocalFile) -> LocalFile | None:
        """The file by which a model reads images, if one lies beside it and can be used."""
        if not model.projector:
            return None
        found = await self.file(model.repo, model.projector, model.snapshot)
        return found if found is not None and not found.problem else None


def named(files: Iterable[LocalFile]) -> dict[str, LocalFile]:
    """The models among the files by name.

    Of several revisions of one file, the one that ``main`` means has the name, else the last by its hash. Where the
    names of two files end alike, the second is named by the whole of its own.
    """
    by_file: dict[tuple[str, str], LocalFile] = {}
    for file in files:
        if file.is_projector or kind_of(file.filename) != "model":
            continue
        key = (file.repo, file.filename)
        if key not in by_file or _worth(file) > _worth(by_file[key]):
            by_file[key] = file
    found: dict[str, LocalFile] = {}
    for file in sorted(by_file.values(), key=lambda file: (file.repo, file.filename.count("/"), file.filename)):
        name = name_of(file.repo, file.filename)
        name = f"{file.repo}:{base_of(file.filename)}" if name in found else name
        if len(name) <= MAX_NAME:
            found.setdefault(name, file)
    return dict(sorted(found.items()))


def name_of(repo: str, filename: str) -> str:
    """What the file is called where no other of its repository has a claim to that name."""
    return f"{repo}:{base_of(filename) if repo.startswith(LOCAL) else qualifier(filename)}"


def _worth(file: LocalFile) -> tuple[bool, bool, str]:
    return not file.problem, file.is_current, file.snapshot
