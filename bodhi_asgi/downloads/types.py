"""A download as it is asked for and as it is kept."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from bodhi_asgi.hub.types import MAIN


class DownloadStatus(StrEnum):
    """How far a download is. The last three are ends; from ``failed`` and ``cancelled`` it can be tried again."""

    QUEUED = "queued"  # waits for a worker, or for the time of its next attempt
    RUNNING = "running"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


ACTIVE: Final = frozenset({DownloadStatus.QUEUED, DownloadStatus.RUNNING, DownloadStatus.PAUSED})
"""What is still to be completed."""

ENDED: Final = frozenset(DownloadStatus) - ACTIVE


@dataclass(frozen=True, slots=True)
class PullRequest:
    """What is wanted of a repository: a file, a quantisation, or the largest that fits if neither is named.

    A file that belongs to a model brings all parts of it and its projector. ``refuse_present`` makes it an error that
    everything is on the disk already.
    """

    repo: str
    revision: str = MAIN
    filename: str | None = None
    quant: str | None = None
    refuse_present: bool = False


@dataclass(frozen=True, slots=True)
class DownloadFile:
    """One of the files. ``sha256`` is None for a small file, which the hub knows by another checksum."""

    filename: str
    size_bytes: int
    sha256: str | None = None


@dataclass(frozen=True, slots=True)
class Download:
    """A download. ``filename`` is the first of ``files``; all of them are those of one ``commit``.

    ``place`` is whose cache it is for, None for any. ``commit`` is empty, and sizes are 0, until the hub was asked.
    ``bytes_per_second`` is 0 unless it runs. ``error`` tells why it failed, or why its last attempt did; ``retry_at``
    is when the next one is due.
    """

    id: str
    place: str | None
    owner_id: str
    repo: str
    revision: str
    commit: str
    quant: str | None
    files: tuple[DownloadFile, ...]
    status: DownloadStatus
    total_bytes: int
    downloaded_bytes: int
    bytes_per_second: int
    error_code: str | None
    error: str | None
    retry_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    archived_at: datetime | None
    created_at: datetime
    updated_at: datetime

    @property
    def filename(self) -> str:
        return self.files[0].filename

    @property
    def is_planned(self) -> bool:
        """Whether it is known which files it brings."""
        return self.commit != ""

    @property
    def seconds_left(self) -> float | None:
        """Until it is complete, at the present rate; None when there is none."""
        if self.status is not DownloadStatus.RUNNING or not self.bytes_per_second:
            return None
        return (self.total_bytes - self.downloaded_bytes) / self.bytes_per_second


@dataclass(frozen=True, slots=True)
class Pulled:
    """A download that was asked for, and whether this made it (or found it on its way, or complete)."""

    download: Download
    is_new: bool


@dataclass(frozen=True, slots=True)
class DownloadFilter:
    """Which downloads are listed: all unless said otherwise. ``search`` is part of a repository or file name."""

    statuses: frozenset[DownloadStatus] = frozenset()
    archived: bool | None = None
    search: str = ""
    sort: str = "created_at"
    descending: bool = True
