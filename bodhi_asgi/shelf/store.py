"""The SQL of model files."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TypeVar

from sqlalchemy import Select, delete, func, or_, select, update
from sqlalchemy.sql import ColumnElement

from bodhi_asgi.caller import Grants
from bodhi_asgi.db.search import has_part
from bodhi_asgi.db.transaction import Row, Transaction
from bodhi_asgi.shelf.facts import READING, from_kept, to_kept
from bodhi_asgi.shelf.names import names_of
from bodhi_asgi.shelf.tables import MODEL_FILES
from bodhi_asgi.shelf.types import Description, FileQuery, FileState, LocalFile, ShelvedFile

T = TypeVar("T")

AT_ONCE: Final = 200
"""Rows of one statement; SQLite takes 32,766 values."""

MAX_TIME_S: Final = 2**32
LOCK: Final = 0x626F6411
"""Held by whoever writes: servers of one database write many rows at once, each in an order of its own."""

FILE_COLUMNS: Final = (
    "repo", "filename", "snapshot", "path", "size_bytes", "modified_ns", "is_current", "in_cache", "is_projector",
    "shards", "projector", "problem",
)  # fmt: skip


def key_of(shelf: str, file: LocalFile) -> str:
    """What identifies a file, whatever becomes of its content."""
    text = f"{shelf}\0{file.repo}\0{file.filename}\0{file.snapshot}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


async def keep(tx: Transaction, shelf: str, files: Sequence[LocalFile], now: datetime) -> None:
    """Let the table say what was seen. What is known of files whose content has changed is forgotten."""
    await tx.lock(LOCK)
    rows = await tx.fetch_all(select(*_plain()).where(MODEL_FILES.c.shelf == shelf))
    old = {row.key: _file(row) for row in rows}
    new = {key_of(shelf, file): file for file in files}
    for keys in _batches(sorted(old.keys() - new.keys())):
        await tx.execute(delete(MODEL_FILES).where(MODEL_FILES.c.key.in_(keys)))
    added = sorted(new.keys() - old.keys())
    for keys in _batches(added):
        # What is there at the first look came at some other time.
        new_rows = [_row(shelf, key, new[key], now if old else min(now, _written_at(new[key]))) for key in keys]
        await tx.insert_many(MODEL_FILES, new_rows)
    changed = [key for key in old.keys() & new.keys() if old[key] != new[key]]
    for key in changed:
        values = _values(new[key])
        if not _has_same_content(old[key], new[key]):
            values |= {"reading": 0, "trouble": "", "facts": {}, "capabilities": ""}
        await tx.execute(update(MODEL_FILES).where(MODEL_FILES.c.key == key).values(**values))


async def is_kept(tx: Transaction, shelf: str, files: Sequence[LocalFile]) -> bool:
    """Whether the table says exactly this, so that nothing needs to be written."""
    rows = await tx.fetch_all(select(*_plain()).where(MODEL_FILES.c.shelf == shelf))
    return {row.key: _file(row) for row in rows} == {key_of(shelf, file): file for file in files}


async def unread(tx: Transaction, shelf: str, limit: int) -> list[tuple[str, LocalFile]]:
    """Files whose header has not been read, in order, with their keys."""
    query = select(*_plain()).where(*_is_unread(shelf)).order_by(MODEL_FILES.c.repo, MODEL_FILES.c.key).limit(limit)
    return [(row.key, _file(row)) for row in await tx.fetch_all(query)]


async def has_unread(tx: Transaction, shelf: str) -> bool:
    """Whether there are such files."""
    return await tx.fetch_one(select(MODEL_FILES.c.key).where(*_is_unread(shelf)).limit(1)) is not None


async def describe(tx: Transaction, told: Iterable[tuple[str, LocalFile, Description]]) -> int:
    """Keep what headers told, but of files that have changed or gone since; of how many it was kept."""
    await tx.lock(LOCK)
    kept = 0
    for key, file, description in told:
        same = (MODEL_FILES.c.size_bytes == file.size_bytes, MODEL_FILES.c.modified_ns == file.modified_ns)
        query = (
            update(MODEL_FILES)
            .where(MODEL_FILES.c.key == key, *same)
            .values(
                reading=READING,
                trouble=description.problem,
                facts={} if description.facts is None else to_kept(description.facts),
                capabilities="".join(f" {name} " for name in description.capabilities),
            )
        )
        kept += await tx.affected(query)
    return kept


async def forget_facts(tx: Transaction, shelf: str) -> None:
    """Have every header read anew; what it told before is shown until then."""
    await tx.lock(LOCK)
    await tx.execute(update(MODEL_FILES).where(MODEL_FILES.c.shelf == shelf).values(reading=0))


async def troubles(tx: Transaction, shelf: str) -> dict[str, str]:
    """What is wrong with files by their headers, by key."""
    query = select(MODEL_FILES.c.key, MODEL_FILES.c.trouble).where(
        MODEL_FILES.c.shelf == shelf, MODEL_FILES.c.trouble != ""
    )
    return {row.key: row.trouble for row in await tx.fetch_all(query)}


async def get(tx: Transaction, key: str) -> ShelvedFile | None:
    row = await tx.fetch_one(select(MODEL_FILES).where(MODEL_FILES.c.key == key))
    return None if row is None else _shelved(row)


async def by_keys(tx: Transaction, keys: Iterable[str]) -> dict[str, ShelvedFile]:
    """Those of these files that are known, by key."""
    found: list[Row] = []
    for batch in _batches(sorted(set(keys))):
        found += await tx.fetch_all(select(MODEL_FILES).where(MODEL_FILES.c.key.in_(batch)))
    return {row.key: _shelved(row) for row in found}


async def all_in_cache(tx: Transaction, shelf: str) -> list[ShelvedFile]:
    """Every file of the cache."""
    where = (MODEL_FILES.c.shelf == shelf, MODEL_FILES.c.in_cache.is_(True))
    return [_shelved(row) for row in await tx.fetch_all(select(MODEL_FILES).where(*where))]


async def page(tx: Transaction, shelf: str, grants: Grants, query: FileQuery) -> tuple[list[ShelvedFile], int]:
    """The files of the page, of those that may be listed, and how many there are in all."""
    where = _conditions(shelf, grants, query)
    total = await tx.fetch_one(select(func.count().label("total")).select_from(MODEL_FILES).where(*where))
    rows = await tx.fetch_all(
        _ordered(tx, select(MODEL_FILES).where(*where), query)
        .offset((query.page - 1) * query.page_size)
        .limit(query.page_size)
    )
    files = await _with_projectors(tx, shelf, [_shelved(row) for row in rows])
    return files, 0 if total is None else int(total.total)


async def touch(tx: Transaction, keys: Iterable[str], at: datetime, unless_since: datetime) -> None:
    """Note a use, unless one is noted that is recent enough."""
    await tx.lock(LOCK)
    stale = or_(MODEL_FILES.c.last_used_at.is_(None), MODEL_FILES.c.last_used_at <= unless_since)
    await tx.execute(update(MODEL_FILES).where(MODEL_FILES.c.key.in_(sorted(keys)), stale).values(last_used_at=at))


async def _with_projectors(tx: Transaction, shelf: str, files: list[ShelvedFile]) -> list[ShelvedFile]:
    """The same, with the sizes of the projectors that belong to them."""
    keys = {
        one.key: key_of(shelf, replace(one.file, filename=one.file.projector)) for one in files if one.file.projector
    }
    if not keys:
        return files
    columns = (MODEL_FILES.c.key, MODEL_FILES.c.size_bytes)
    rows = await tx.fetch_all(select(*columns).where(MODEL_FILES.c.key.in_(sorted(set(keys.values())))))
    sizes = {row.key: row.size_bytes for row in rows}
    return [replace(one, projector_bytes=sizes.get(keys.get(one.key, ""))) for one in files]


def _conditions(shelf: str, grants: Grants, query: FileQuery) -> list[ColumnElement[bool]]:
    table = MODEL_FILES.c
    where: list[ColumnElement[bool]] = [table.shelf == shelf]
    if not (grants.list_models or grants.all_models):
        granted = sorted(grants.models)
        where.append(or_(table.name.in_(granted), table.long_name.in_(granted)))
    if query.search:
        where.append(has_part(query.search, table.repo, table.filename, table.name))
    if query.size_min is not None:
        where.append(table.size_bytes >= query.size_min)
    if query.size_max is not None:
        where.append(table.size_bytes <= query.size_max)
    where += [has_part(f" {capability} ", table.capabilities) for capability in query.capabilities]
    return where


def _ordered(tx: Transaction, query: Select[Any], wanted: FileQuery) -> Select[Any]:
    table = MODEL_FILES.c
    # By bytes on both databases, whatever the language of the machine.
    texts = {
        name: table[name].collate("C") if tx.dialect == "postgresql" else table[name]
        for name in ("repo", "filename", "snapshot")
    }
    first: ColumnElement[Any] = table.size_bytes if wanted.sort == "size" else texts[wanted.sort]
    rest = [texts[name] for name in texts if name != wanted.sort]
    return query.order_by(*(column.desc() if wanted.descending else column.asc() for column in (first, *rest)))


def _is_unread(shelf: str) -> tuple[ColumnElement[bool], ...]:
    return MODEL_FILES.c.shelf == shelf, MODEL_FILES.c.problem == "", MODEL_FILES.c.reading != READING


def _has_same_content(one: LocalFile, other: LocalFile) -> bool:
    """Whether what headers told still holds; that of the projector beside it counts."""
    return (one.size_bytes, one.modified_ns, one.shards, one.projector) == (
        other.size_bytes,
        other.modified_ns,
        other.shards,
        other.projector,
    )


def _written_at(file: LocalFile) -> datetime:
    return datetime.fromtimestamp(max(0, min(file.modified_ns // 10**9, MAX_TIME_S)), UTC)


def _plain() -> list[ColumnElement[Any]]:
    return [MODEL_FILES.c.key, *(MODEL_FILES.c[name] for name in FILE_COLUMNS)]


def _row(shelf: str, key: str, file: LocalFile, now: datetime) -> dict[str, Any]:
    name, long_name = names_of(file)
    return {
        "key": key,
        "shelf": shelf,
        "name": name,
        "long_name": long_name,
        "reading": 0,
        "trouble": "",
        "facts": {},
        "capabilities": "",
        "found_at": now,
        "last_used_at": None,
        **_values(file),
    }


def _values(file: LocalFile) -> dict[str, Any]:
    values = {name: getattr(file, name) for name in FILE_COLUMNS}
    return values | {"path": str(file.path), "shards": list(file.shards)}


def _file(row: Row, **more: Any) -> LocalFile:
    values = {name: row[name] for name in FILE_COLUMNS}
    return LocalFile(**{**values, "path": Path(row.path), "shards": tuple(row.shards), **more})


def _shelved(row: Row) -> ShelvedFile:
    problem = row.problem or row.trouble
    state = FileState.UNUSABLE if problem else FileState.READ if row.reading == READING else FileState.UNREAD
    facts: Mapping[str, Any] = row.facts
    return ShelvedFile(
        key=row.key,
        file=_file(row, problem=problem),
        state=state,
        facts=from_kept(facts) if facts else None,
        capabilities=tuple(row.capabilities.split()),
        found_at=row.found_at,
        last_used_at=row.last_used_at,
    )


def _batches(items: Sequence[T]) -> Iterator[Sequence[T]]:
    return (items[begin : begin + AT_ONCE] for begin in range(0, len(items), AT_ONCE))
