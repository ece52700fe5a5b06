"""The SQL of downloads."""

import hashlib
from collections.abc import Collection, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from sqlalchemy import func, insert, or_, select, update
from sqlalchemy.sql import ColumnElement

from bodhi_asgi.db.search import has_part
from bodhi_asgi.db.transaction import Row, Transaction
from bodhi_asgi.downloads.tables import DOWNLOADS
from bodhi_asgi.downloads.types import Download, DownloadFile, DownloadFilter, DownloadStatus

LOCK: Final = 0x626F6412
"""Of what becomes of downloads; taken before any row, and after the one on the names of aliases."""

SORTABLE: Final = MappingProxyType(
    {
        "created_at": DOWNLOADS.c.id,  # which sorts by it, and is never the same twice
        "updated_at": DOWNLOADS.c.updated_at,
        "repo": func.lower(DOWNLOADS.c.repo),
        "filename": func.lower(DOWNLOADS.c.filename),
        "status": DOWNLOADS.c.status,
        "total_bytes": DOWNLOADS.c.total_bytes,
    }
)
"""By what a list can be sorted."""


def key_of(download: Download) -> str:
    """The same for the same files of the same commit (of the same revision, before it is known) at the same place."""
    at = download.commit or f"at {download.revision}"
    names = sorted(file.filename for file in download.files)
    text = "\0".join([download.place or "", download.repo, at, *names])
    return hashlib.sha256(text.encode()).hexdigest()


async def alone(tx: Transaction) -> None:
    """Let nobody else decide what becomes of a download until this transaction is over: what it reads stays true."""
    await tx.lock(LOCK)


async def add(tx: Transaction, download: Download, active_key: str | None) -> None:
    """Raises ConstraintViolated when the same is on its way already."""
    names = [name for name in Download.__dataclass_fields__ if name not in ("files", "status")]
    await tx.execute(
        insert(DOWNLOADS).values(
            **{name: getattr(download, name) for name in names},
            filename=download.filename,
            files=as_json(download.files),
            status=download.status.value,
            active_key=active_key,
        )
    )


async def get(tx: Transaction, download_id: str) -> Download | None:
    row = await tx.fetch_one(select(DOWNLOADS).where(DOWNLOADS.c.id == download_id))
    return None if row is None else _download(row)


async def on_its_way(tx: Transaction, active_key: str) -> Download | None:
    """The download of these files that has not ended, or has failed and waits to be tried again."""
    row = await tx.fetch_one(select(DOWNLOADS).where(DOWNLOADS.c.active_key == active_key))
    return None if row is None else _download(row)


async def bringing(tx: Transaction, wanted: Download) -> Download | None:
    """The download that is to bring the first file of ``wanted`` at its revision, with whatever else."""
    same = (DOWNLOADS.c.repo == wanted.repo, DOWNLOADS.c.revision == wanted.revision, _is_of(wanted.place))
    query = select(DOWNLOADS).where(*same, DOWNLOADS.c.active_key.is_not(None)).order_by(DOWNLOADS.c.id)
    found = map(_download, await tx.fetch_all(query))
    return next((each for each in found if wanted.filename in {file.filename for file in each.files}), None)


async def last_completed(tx: Transaction, wanted: Download) -> Download | None:
    """The newest download that brought the files of ``wanted``."""
    same = (DOWNLOADS.c.repo == wanted.repo, DOWNLOADS.c.commit == wanted.commit, _is_of(wanted.place))
    done = (DOWNLOADS.c.filename == wanted.filename, DOWNLOADS.c.status == DownloadStatus.COMPLETED.value)
    row = await tx.fetch_one(select(DOWNLOADS).where(*same, *done).order_by(DOWNLOADS.c.id.desc()).limit(1))
    return None if row is None else _download(row)


async def page(tx: Transaction, wanted: DownloadFilter, *, offset: int, limit: int) -> tuple[list[Download], int]:
    """Downloads in order, and how many there are in all."""
    conditions = list(_conditions(wanted))
    column = SORTABLE[wanted.sort]
    order = column.desc() if wanted.descending else column.asc()
    query = select(DOWNLOADS).where(*conditions).order_by(order, DOWNLOADS.c.id.desc())
    rows = await tx.fetch_all(query.offset(offset).limit(limit))
    total = await tx.fetch_one(select(func.count().label("total")).select_from(DOWNLOADS).where(*conditions))
    return [_download(row) for row in rows], int(total.total) if total is not None else 0


async def change(
    tx: Transaction, download_id: str, at: datetime, *, only_if: Collection[DownloadStatus], **values: Any
) -> bool:
    """Change a download if its status is still one of these; whether it was."""
    known = [status.value for status in only_if]
    query = update(DOWNLOADS).where(DOWNLOADS.c.id == download_id, DOWNLOADS.c.status.in_(known))
    return await tx.affected(query.values(updated_at=at, **values)) == 1


def as_json(files: Sequence[DownloadFile]) -> list[list[Any]]:
    """Files as they are kept."""
    return [[file.filename, file.size_bytes, file.sha256] for file in files]


def _is_of(place: str | None) -> "ColumnElement[bool]":
    return or_(DOWNLOADS.c.place.is_(None), DOWNLOADS.c.place == place)


def _conditions(wanted: DownloadFilter) -> "list[ColumnElement[bool]]":
    conditions: list[ColumnElement[bool]] = []
    if wanted.statuses:
        conditions.append(DOWNLOADS.c.status.in_(sorted(status.value for status in wanted.statuses)))
    if wanted.archived is not None:
        archived = DOWNLOADS.c.archived_at
        conditions.append(archived.is_not(None) if wanted.archived else archived.is_(None))
    if wanted.search:
        conditions.append(has_part(wanted.search, DOWNLOADS.c.repo, DOWNLOADS.c.filename))
    return conditions


def _download(row: Row) -> Download:
    names = [name for name in Download.__dataclass_fields__ if name not in ("files", "status")]
    return Download(
        **{name: row[name] for name in names},
        files=tuple(DownloadFile(*file) for file in row.files),
        status=DownloadStatus(row.status),
    )
