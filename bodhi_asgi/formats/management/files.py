"""The shapes of ``/bodhi/v1/models/files`` and of reading headers anew."""

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, TypeVar

from pydantic import BaseModel, Field

from bodhi_asgi.errors import Invalid
from bodhi_asgi.formats.management.metadata import ModelMetadata, encode_metadata
from bodhi_asgi.shelf.names import names_of
from bodhi_asgi.shelf.types import MAIN, FileQuery, Removed, ShelvedFile
from bodhi_asgi.types import INT64_MAX, Page
from bodhi_asgi.validation import WireModel

N = TypeVar("N", int, None)

CAPABILITIES: Final[Mapping[str, str]] = MappingProxyType({"tool_use": "tools", "reasoning": "thinking"})
"""Names of the wire that differ from ours."""

MAX_ITEMS: Final = 16
FILE_SORTS: Final = ("repo", "filename", "snapshot", "size")
FILES_QUERY: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "page": {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1},
        "page_size": {"type": "integer", "minimum": 1, "maximum": 100, "default": 30},
        "sort": {"type": "string", "enum": list(FILE_SORTS), "default": "repo"},
        "sort_order": {"type": "string", "enum": ["asc", "desc"], "default": "asc"},
        "search": {"type": "string", "maxLength": 256},
        "size_min": {"type": "integer", "minimum": 0, "maximum": INT64_MAX},
        "size_max": {"type": "integer", "minimum": 0, "maximum": INT64_MAX},
        "capability": {"type": "string", "maxLength": 256},
    }
)
FILE_QUERY: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "repo": {"type": "string", "maxLength": 256},
        "filename": {"type": "string", "maxLength": 1024},
        "snapshot": {"type": "string", "maxLength": 64, "default": MAIN},
    }
)


class LocalModelResponse(BaseModel):
    """A model file on this machine. ``problem`` says why it cannot be used; ``shards`` is how many files it has, and
    ``parts`` are their names where it is split; ``size`` is that of all of them, without the ``projector``."""

    repo: str
    filename: str
    snapshot: str
    size: int | None
    model_params: dict[str, Any] = Field(default_factory=dict)
    metadata: ModelMetadata | None = None
    state: Literal["unread", "read", "unusable"]
    problem: str | None = None
    shards: int = 1
    parts: list[str] = Field(default_factory=list)
    projector: str | None = None
    projector_size: int | None = None
    last_used_at: datetime | None = None


class LocalModelPage(BaseModel):
    """One page of model files."""

    data: list[LocalModelResponse]
    total: int
    page: int
    page_size: int


class RemovedFiles(BaseModel):
    """So many names are gone, and so many bytes are free."""

    files: int
    freed_bytes: int


class RefreshRequest(WireModel):
    """Read all headers anew, or that of one file now."""

    source: Literal["all", "model"]
    repo: Annotated[str, Field(max_length=256)] | None = None
    filename: Annotated[str, Field(max_length=1024)] | None = None
    snapshot: Annotated[str, Field(max_length=64)] = MAIN


class RefreshQueued(BaseModel):
    """All headers will be read."""

    num_queued: Literal["all"] = "all"
    alias: None = None


class ModelAliasResponse(BaseModel):
    """A file as the model that it is."""

    source: Literal["model"] = "model"
    alias: str
    repo: str
    filename: str
    snapshot: str
    access: bool
    size: int | None = None
    metadata: ModelMetadata | None = None


class QueueStatusResponse(BaseModel):
    """Whether headers are still to be read."""

    status: Literal["idle", "processing"]


def encode_file(found: ShelvedFile) -> LocalModelResponse:
    file = found.file
    return LocalModelResponse(
        repo=file.repo,
        filename=file.filename,
        snapshot=file.snapshot,
        size=file.size_bytes,
        metadata=encode_metadata(found.facts, found.capabilities),
        state=found.state.value,
        problem=file.problem or None,
        shards=max(1, len(file.shards)),
        parts=list(file.shards),
        projector=file.projector or None,
        projector_size=found.projector_bytes,
        last_used_at=found.last_used_at,
    )


def encode_files(page: Page[ShelvedFile]) -> LocalModelPage:
    data = [encode_file(found) for found in page.data]
    return LocalModelPage(data=data, total=page.total, page=page.page, page_size=page.page_size)


def encode_as_model(found: ShelvedFile, *, access: bool) -> ModelAliasResponse:
    file = found.file
    return ModelAliasResponse(
        alias=names_of(file)[0],
        repo=file.repo,
        filename=file.filename,
        snapshot=file.snapshot,
        access=access,
        size=file.size_bytes,
        metadata=encode_metadata(found.facts, found.capabilities),
    )


def encode_removed(removed: Removed) -> RemovedFiles:
    return RemovedFiles(files=removed.files, freed_bytes=removed.freed_bytes)


def decode_query(query: Mapping[str, str]) -> FileQuery:
    """Which files are asked for. Raises Invalid naming the parameter."""
    sort, order = query.get("sort", "repo"), query.get("sort_order", "asc")
    if sort not in FILE_SORTS:
        raise Invalid(f"'sort' is {sort[:40]!r}: one of {', '.join(FILE_SORTS)} is accepted", param="sort")
    if order not in ("asc", "desc"):
        raise Invalid(f"'sort_order' is {order[:40]!r}: asc or desc is accepted", param="sort_order")
    capabilities = [item.strip() for item in query.get("capability", "").split(",", MAX_ITEMS) if item.strip()]
    return FileQuery(
        page=_number(query, "page", 1),
        page_size=_number(query, "page_size", 30),
        sort=sort,  # type: ignore[arg-type]
        descending=order == "desc",
        search=query.get("search", ""),
        size_min=_number(query, "size_min", None),
        size_max=_number(query, "size_max", None),
        capabilities=tuple(CAPABILITIES.get(item, item) for item in capabilities),
    )


def file_of(query: Mapping[str, str | None]) -> tuple[str, str, str]:
    """Repository, name and snapshot of a file. Raises Invalid naming the one that is missing or too long."""
    found = [query.get("repo") or "", query.get("filename") or "", query.get("snapshot") or MAIN]
    for (name, shape), value in zip(FILE_QUERY.items(), found, strict=True):
        if not value:
            raise Invalid(f"'{name}' is required", param=name)
        if len(value) > shape["maxLength"]:
            raise Invalid(f"'{name}' has {len(value)} characters; up to {shape['maxLength']} are read", param=name)
    return found[0], found[1], found[2]


def _number(query: Mapping[str, str], name: str, default: N) -> int | N:
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= INT64_MAX):
        raise Invalid(f"'{name}' is {text[:40]!r}: a whole number that is not negative is accepted", param=name)
    return int(text)
