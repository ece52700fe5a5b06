"""The hub's answers about repositories, in the shapes of https://huggingface.co/docs/hub/api, and what we take of them.

What is not needed is passed over; a name that is a trick is left out; what is of another type than it should be makes
the answer one that is not understood.
"""

from datetime import datetime
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from bodhi_asgi.hub.errors import HubReferenceInvalid
from bodhi_asgi.hub.reference import check_filename, check_repo
from bodhi_asgi.hub.types import RepoFile, RepoSummary

MAX_FILES: Final = 10_000
MAX_SIZE: Final = 2**53
CHECKSUM: Final = r"^[0-9a-f]{64}$"


class Lfs(BaseModel):
    """How a large file is kept."""

    model_config = ConfigDict(extra="ignore")

    sha256: Annotated[str, Field(pattern=CHECKSUM)]


class Sibling(BaseModel):
    """A file of a repository."""

    model_config = ConfigDict(extra="ignore")

    rfilename: str
    size: Annotated[int, Field(ge=0, le=MAX_SIZE)] | None = None
    lfs: Lfs | None = None


class Listed(BaseModel):
    """A repository in a list."""

    model_config = ConfigDict(extra="ignore")

    id: str
    downloads: int | None = None
    likes: int | None = None
    gated: bool | str | None = None
    private: bool | None = None
    modified_at: Annotated[datetime | None, Field(validation_alias="lastModified")] = None
    tags: list[str] | None = None


class Detailed(Listed):
    """A repository at a commit, with its files."""

    sha: str = ""
    siblings: list[Sibling] | None = None


def summary_of(told: Listed) -> RepoSummary | None:
    """A repository, unless its name is none."""
    try:
        repo = check_repo(told.id)
    except HubReferenceInvalid:
        return None
    return RepoSummary(
        repo=repo,
        downloads=told.downloads or 0,
        likes=told.likes or 0,
        is_gated=bool(told.gated),
        is_private=bool(told.private),
        modified_at=told.modified_at,
        tags=tuple(told.tags or ()),
    )


def files_of(told: Detailed) -> tuple[RepoFile, ...]:
    """The files in the order of their names, at most ten thousand."""
    found = []
    for sibling in (told.siblings or [])[:MAX_FILES]:
        try:
            check_filename(sibling.rfilename)
        except HubReferenceInvalid:
            continue
        sha256 = None if sibling.lfs is None else sibling.lfs.sha256
        found.append(RepoFile(sibling.rfilename, sibling.size or 0, sha256))
    return tuple(sorted(found, key=lambda file: file.filename))
