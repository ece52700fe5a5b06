"""From what is wanted of a repository to the files that make it whole: all parts of one model, and its projector."""

import asyncio
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bodhi_asgi.downloads.types import Download, DownloadFile, DownloadStatus, PullRequest
from bodhi_asgi.gguf.fit import context_bytes
from bodhi_asgi.gguf.offers import Offer, choose, offers, pick
from bodhi_asgi.gguf.types import GgufInvalid
from bodhi_asgi.hub.errors import HubFileNotFound
from bodhi_asgi.hub.folder import RepoFolder, disk_full
from bodhi_asgi.hub.service import HubService
from bodhi_asgi.hub.types import HubFile, RepoDetails, RepoFile
from bodhi_asgi.ids import new_id


@dataclass(frozen=True, slots=True)
class Plan:
    """The files to be fetched, of one commit. ``quant`` is None for a file that is no model."""

    commit: str
    quant: str | None
    files: tuple[DownloadFile, ...]

    @property
    def total_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)


async def plan(hub: HubService, request: PullRequest, budget_bytes: int) -> Plan:
    """What ``request`` means today. Without a name it is the largest quantisation that fits in ``budget_bytes``.

    Raises what the hub may say of a repository, HubFileNotFound, QuantisationMissing, QuantisationUnclear, NothingFits,
    and GgufInvalid for a file that is no model.
    """
    details = await hub.details(request.repo, request.revision)
    found = offers(details.files)
    if request.filename is not None:
        return _of_file(details, found, request)
    if request.quant is not None:
        return _of_offer(details, pick(found, request.quant))
    beside = await _context_bytes(hub, details, found)
    return _of_offer(details, choose(found, budget_bytes, beside_bytes=beside))


def new_download(place: str, owner_id: str, wanted: PullRequest, plan_: Plan, now: datetime) -> Download:
    """A download of these files that nobody is at yet."""
    return Download(
        id=new_id(),
        place=place,
        owner_id=owner_id,
        repo=wanted.repo,
        revision=wanted.revision,
        commit=plan_.commit,
        quant=plan_.quant,
        files=plan_.files,
        status=DownloadStatus.QUEUED,
        total_bytes=plan_.total_bytes,
        downloaded_bytes=0,
        bytes_per_second=0,
        error_code=None,
        error=None,
        retry_at=None,
        started_at=None,
        completed_at=None,
        archived_at=None,
        created_at=now,
        updated_at=now,
    )


def unplanned_download(place: str, owner_id: str, wanted: PullRequest, now: datetime) -> Download:
    """A download of one file that the hub was not asked about yet."""
    assert wanted.filename is not None, "a file is named"
    unknown = Plan("", None, (DownloadFile(wanted.filename, 0),))
    return new_download(place, owner_id, wanted, unknown, now)


def is_present(cache: Path, repo: str, plan_: Plan) -> bool:
    """Whether all of it is in the cache. Blocking."""
    folder = RepoFolder(cache, repo)
    return all(_size(folder.pointer(plan_.commit, file.filename)) == file.size_bytes for file in plan_.files)


def require_space(cache: Path, repo: str, plan_: Plan) -> None:
    """Raise DiskFull when the file system of the cache has no room for what is not there yet. Blocking."""
    folder = RepoFolder(cache, repo)
    missing = plan_.total_bytes
    for file in plan_.files:
        here = _size(folder.pointer(plan_.commit, file.filename))
        part = _size(folder.part(file.sha256)) if file.sha256 is not None else None
        missing -= min(here or part or 0, file.size_bytes)
    place = cache
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < missing:
        raise disk_full(missing, free)


async def _context_bytes(hub: HubService, details: RepoDetails, found: tuple[Offer[RepoFile], ...]) -> int:
    """What the context takes; it is the same for all quantisations of a model, so the smallest file tells it."""
    whole = [offer for offer in found if not offer.missing]
    if not whole:
        return 0  # whoever chooses says so
    first = whole[0].files[0]
    try:
        _, header = await hub.peek(HubFile(details.summary.repo, first.filename, details.commit))
    except GgufInvalid as error:
        raise GgufInvalid(f"'{first.filename}' of '{details.summary.repo}' is no model: {error.message}") from error
    return await asyncio.to_thread(context_bytes, header)


def _of_file(details: RepoDetails, found: tuple[Offer[RepoFile], ...], request: PullRequest) -> Plan:
    file = next((file for file in details.files if file.filename == request.filename), None)
    if file is None:
        raise HubFileNotFound(
            f"there is no file '{request.filename}' in '{request.repo}' at '{request.revision}'",
            param="filename",
            repo=request.repo,
            filename=request.filename,
        )
    offer = next((offer for offer in found if file in offer.files and not offer.missing), None)
    return _of_offer(details, offer) if offer is not None else Plan(details.commit, None, (_file(file),))


def _of_offer(details: RepoDetails, offer: Offer[RepoFile]) -> Plan:
    return Plan(details.commit, offer.quant, tuple(_file(file) for file in offer.everything))


def _file(file: RepoFile) -> DownloadFile:
    return DownloadFile(file.filename, file.size_bytes, file.sha256)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
