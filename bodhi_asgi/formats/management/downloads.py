"""The shapes of ``/bodhi/v1/models/files/pull``: what BodhiApp's clients know, and beside it what they do not."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BaseModel, Field

from bodhi_asgi.downloads.types import Download, DownloadFile, DownloadStatus, PullRequest
from bodhi_asgi.hub.types import MAIN
from bodhi_asgi.types import Page
from bodhi_asgi.validation import WireModel

WireStatus: TypeAlias = Literal["pending", "completed", "error"]

STATUSES: Final[Mapping[DownloadStatus, WireStatus]] = MappingProxyType(
    {
        DownloadStatus.QUEUED: "pending",
        DownloadStatus.RUNNING: "pending",
        DownloadStatus.PAUSED: "pending",
        DownloadStatus.COMPLETED: "completed",
        DownloadStatus.FAILED: "error",
        DownloadStatus.CANCELLED: "error",
    }
)
"""The wire's three words for our six."""


class NewDownloadRequest(WireModel):
    """A file of a repository, or a quantisation of it; with neither, the largest quantisation that fits in memory."""

    repo: Annotated[str, Field(description="`owner/name`")]
    filename: Annotated[str | None, Field(description="A file; other parts and the projector come with it.")] = None
    quant: Annotated[str | None, Field(description="A quantisation, such as `Q4_K_M`.")] = None
    revision: Annotated[str, Field(description="A branch, tag or commit.")] = MAIN


class DownloadFileShape(BaseModel):
    """One of the files that a download brings."""

    filename: str
    size_bytes: int


class DownloadShape(BaseModel):
    """A download. ``state`` is what ``status`` is made of; ``seconds_left`` is null unless bytes arrive.

    ``place`` is whose cache it is for, where machines that share a database have each their own: the same text for all
    downloads of a cache; null for one that is for any.
    """

    id: str
    repo: str
    filename: str
    status: WireStatus
    error: str | None
    total_bytes: int
    downloaded_bytes: int
    started_at: datetime | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime
    state: Literal["queued", "running", "paused", "completed", "failed", "cancelled"]
    error_code: str | None
    revision: str
    snapshot: str
    quant: str | None
    files: list[DownloadFileShape]
    bytes_per_second: int
    seconds_left: float | None
    retry_at: datetime | None
    completed_at: datetime | None
    place: str | None


class DownloadPage(BaseModel):
    """One page of downloads."""

    data: list[DownloadShape]
    total: int
    page: int
    page_size: int


def decode_pull(asked: NewDownloadRequest) -> PullRequest:
    """What the wire asks for, by whose rules it is an error that the file is here already."""
    return PullRequest(
        repo=asked.repo,
        revision=asked.revision,
        filename=asked.filename,
        quant=asked.quant,
        refuse_present=True,
    )


def encode_download(download: Download) -> DownloadShape:
    cancelled = download.status is DownloadStatus.CANCELLED
    return DownloadShape(
        id=download.id,
        repo=download.repo,
        filename=download.filename,
        status=STATUSES[download.status],
        error="it was cancelled" if cancelled else download.error,
        total_bytes=download.total_bytes,
        downloaded_bytes=download.downloaded_bytes,
        started_at=download.started_at,
        archived_at=download.archived_at,
        created_at=download.created_at,
        updated_at=download.updated_at,
        state=download.status.value,
        error_code=download.error_code,
        revision=download.revision,
        snapshot=download.commit,
        quant=download.quant,
        files=[_file(file) for file in download.files],
        bytes_per_second=download.bytes_per_second,
        seconds_left=None if download.seconds_left is None else round(download.seconds_left, 1),
        retry_at=download.retry_at,
        completed_at=download.completed_at,
        place=download.place,
    )


def encode_page(page: Page[Download]) -> DownloadPage:
    data = [encode_download(download) for download in page.data]
    return DownloadPage(data=data, total=page.total, page=page.page, page_size=page.page_size)


def _file(file: DownloadFile) -> DownloadFileShape:
    return DownloadFileShape(filename=file.filename, size_bytes=file.size_bytes)
