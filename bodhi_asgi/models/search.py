"""The SQL of the list of all models: aliases of the database, and what is known here, as one table.

What is known here goes to the database as one JSON document, so that filters, order and pages are its work and the
total is right.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import BigInteger, Select, Text, and_, cast, func, literal, literal_column, or_, select, union_all
from sqlalchemy.sql import ColumnElement, FromClause
from sqlalchemy.sql.elements import Label

from bodhi_asgi.caller import Grants
from bodhi_asgi.db.search import has_part
from bodhi_asgi.db.transaction import Dialect, Transaction
from bodhi_asgi.models.store import seen_by
from bodhi_asgi.models.tables import ALIASES
from bodhi_asgi.models.types import FileReference, ModelQuery

COLUMNS: Final = ("name", "repo", "filename", "snapshot", "capabilities", "size_bytes")
OF_FILE: Final = COLUMNS[4:]
CAPABILITIES: Final = {"tool_use": "tools", "reasoning": "thinking"}
"""What is asked for by other names than models' families have for it."""


@dataclass(frozen=True, slots=True)
class KnownModel:
    """A model that is known without the database; one without a name is a file that aliases may stand for."""

    name: str
    file: FileReference
    size_bytes: int | None
    capabilities: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Hit:
    """A model on the page. ``alias_id`` is empty for one that is no alias."""

    alias_id: str
    name: str
    file: FileReference


def document(models: Sequence[KnownModel]) -> str:
    """The models as the database is given them."""
    rows = [
        [
            one.name,
            one.file.repo,
            one.file.filename,
            one.file.snapshot,
            "".join(f" {name} " for name in one.capabilities),
            one.size_bytes,
        ]
        for one in models
    ]
    return orjson.dumps(rows).decode()


async def page(tx: Transaction, owner_id: str, grants: Grants, query: ModelQuery, known: str) -> tuple[list[Hit], int]:
    """The models on the page that ``query`` wants, of those that may be listed, and how many there are in all."""
    both = _both(tx.dialect, owner_id, query, known)
    where = and_(*_conditions(both, grants, query))
    total = await tx.fetch_one(select(func.count().label("total")).select_from(both).where(where))
    rows = await tx.fetch_all(
        select(both)
        .where(where)
        .order_by(*_order(tx.dialect, both, query))
        .offset((query.page - 1) * query.page_size)
        .limit(query.page_size)
    )
    hits = [Hit(row.id, row.name, FileReference(row.repo, row.filename, row.snapshot)) for row in rows]
    return hits, 0 if total is None else int(total.total)


def _both(dialect: Dialect, owner_id: str, query: ModelQuery, known: str) -> FromClause:
    """One table of both, each row with the size of its file where that is asked for."""
    here = _table(dialect, known, "here")
    own = (literal_column("'user'").label("source"), ALIASES.c.id, *(ALIASES.c[name] for name in COLUMNS[:4]))
    unknown: tuple[Label[str], Label[Any]] = (
        literal_column("''").label("capabilities"),
        literal_column("NULL").label("size_bytes"),
    )
    aliases: Select[Any] = select(*own, *unknown).where(seen_by(owner_id))
    if query.size_min is not None or query.size_max is not None or query.capabilities:
        files = _table(dialect, known, "files")
        same = and_(*(files.c[name] == ALIASES.c[name] for name in COLUMNS[1:4]))
        of_file = (files.c[name] for name in OF_FILE)
        aliases = select(*own, *of_file).select_from(ALIASES.outerjoin(files, same)).where(seen_by(owner_id))
    is_model: tuple[Label[str], Label[str]] = (
        literal_column("'model'").label("source"),
        literal_column("''").label("id"),
    )
    models = select(*is_model, *(here.c[name] for name in COLUMNS)).where(here.c.name != "")
    return union_all(aliases, models).subquery("models")


def _table(dialect: Dialect, known: str, name: str) -> FromClause:
    """The JSON document as a table.

    Every value has its type said: only then does SQLite join by an index of its own, and not row by row.
    """
    items: list[ColumnElement[Any]]
    if dialect == "sqlite":
        each = func.json_each(literal(known)).table_valued("value", name=f"{name}_rows")
        items = [func.json_extract(each.c.value, literal_column(f"'$[{number}]'")) for number in range(len(COLUMNS))]
    else:
        text = literal(known).op("::")(literal_column("json"))
        each = func.json_array_elements(text).table_valued("value", name=f"{name}_rows")
        items = [literal_column(f"{name}_rows.value->>{number}") for number in range(len(COLUMNS))]
    types = [Text] * (len(COLUMNS) - 1) + [BigInteger]
    columns = [cast(item, kind).label(column) for item, kind, column in zip(items, types, COLUMNS, strict=True)]
    return select(*columns).select_from(each).cte(name)


def _conditions(both: FromClause, grants: Grants, query: ModelQuery) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = [both.c.source.in_(sorted(query.sources))]
    if not (grants.all_models or grants.list_models):
        found.append(both.c.name.in_(sorted(grants.models)))
    size = both.c.size_bytes
    if query.size_min is not None:
        found.append(or_(size.is_(None), size >= query.size_min))
    if query.size_max is not None:
        found.append(or_(size.is_(None), size <= query.size_max))
    found += [both.c.capabilities.like(f"% {CAPABILITIES.get(name, name)} %") for name in sorted(query.capabilities)]
    if query.search:
        found.append(has_part(query.search, *(both.c[name] for name in ("name", "repo", "filename"))))
    return found


def _order(dialect: Dialect, both: FromClause, query: ModelQuery) -> list[ColumnElement[Any]]:
    """By what is asked for, then by name, so that pages do not overlap. By code point on every database."""
    columns = dict.fromkeys((query.sort, "name", "source", "id"))
    wanted = [both.c[name].collate("C") if dialect == "postgresql" else both.c[name] for name in columns]
    return [column.desc() if query.is_descending else column.asc() for column in wanted]
