"""A file on the hub: how somebody names it, what is wanted of it, and what the hub says of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

MAIN: Final = "main"
"""The revision that is meant when none is named."""


@dataclass(frozen=True, slots=True)
class HubReference:
    """A repository, and what of it: a file, a quantisation, or whatever fits best when both are None.

    ``file`` and ``quant`` are never both given. Made and checked by :func:`bodhi_asgi.hub.reference.parse`.
    """

    repo: str
    revision: str = MAIN
    file: str | None = None
    quant: str | None = None

    def __str__(self) -> str:
        at = "" if self.revision == MAIN else f"@{self.revision.replace('/', '%2F')}"
        rest = f"/{self.file}" if self.file else f":{self.quant}" if self.quant else ""
        return f"{self.repo}{at}{rest}"


@dataclass(frozen=True, slots=True)
class HubFile:
    """One file of a repository at a revision; what :func:`bodhi_asgi.hub.fetch.fetch` brings into the cache."""

    repo: str
    filename: str
    revision: str = MAIN

    def __str__(self) -> str:
        return str(HubReference(self.repo, self.revision, self.filename))


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub says of a file before it is fetched.

    ``etag`` names the blob in the cache: the SHA-256 of a large file, the Git hash of a small one.
    """

    file: HubFile
    commit: str
    etag: str
    size_bytes: int

    @property
    def is_large(self) -> bool:
        """Whether the hub keeps it outside of Git, and the etag is a SHA-256."""
        return len(self.etag) == 64


@dataclass(frozen=True, slots=True)
class RepoFile:
    """A file in a repository's listing. ``sha256`` only for large files."""

    filename: str
    size_bytes: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class RepoSummary:
    """A repository in a search."""

    repo: str
    downloads: int = 0
    likes: int = 0
    is_gated: bool = False
    is_private: bool = False
    modified_at: datetime | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepoDetails:
    """A repository at a commit, with all its files in the order of their names."""

    summary: RepoSummary
    commit: str
    files: tuple[RepoFile, ...]
