"""Aliases as they are kept and asked for, the files they stand for, and what a name becomes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, TypeAlias

from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.models.params import NONE, Defaults, RequestParams
from bodhi_asgi.shelf.types import ShelvedFile
from bodhi_asgi.types import JSONObject

MAIN: Final = "main"
SETTINGS_REPO: Final = "bodhi/settings"
"""Stands for a repository where a model is one of the settings, whose name is the file's."""


@dataclass(frozen=True, slots=True)
class FileReference:
    """A file by its place: ``repo`` as ``owner/name``, the path in it, and a revision (``main`` or a commit).

    Files of plain folders and models of the settings have repositories of their own, ``local/…`` and
    ``bodhi/settings``.
    """

    repo: str
    filename: str
    snapshot: str = MAIN

    @property
    def is_setting(self) -> bool:
        return self.repo == SETTINGS_REPO


@dataclass(frozen=True, slots=True)
class AliasSpec:
    """What an alias shall be. ``settings`` are typed settings of a model, in which it differs from its file's own."""

    name: str
    file: FileReference
    params: RequestParams = field(default_factory=RequestParams)
    settings: Mapping[str, Any] = field(default_factory=dict)
    keep_alive_s: float | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A named configuration over a file. ``owner_id`` is empty for one that the application shares with all.

    ``params`` fill what requests leave open; ``settings`` are how its engine differs from that of the file itself.
    """

    id: str
    owner_id: str
    name: str
    file: FileReference
    params: JSONObject
    settings: JSONObject
    keep_alive_s: float | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Resolved:
    """What a name stands for: what is to be loaded, and what fills the fields that requests leave open."""

    spec: ModelSpec
    defaults: Defaults = NONE


class Source(StrEnum):
    """What kind of thing a name belongs to: an alias that somebody made, or a model that is there by itself."""

    USER = "user"
    MODEL = "model"


Capability: TypeAlias = Literal["vision", "tool_use", "reasoning", "audio", "infill", "embedding", "rerank"]
Sort: TypeAlias = Literal["name", "repo", "filename", "source"]


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """Which models are wanted, in which order, and which page of them. What is empty or None wants nothing special.

    ``sources`` of which one fits; ``capabilities`` that all are known to be there; sizes in bytes, which models without
    a file are not judged by; ``search`` as a part of name, repository or file, capitals or not.
    """

    page: int = 1
    page_size: int = 30
    sort: Sort = "name"
    is_descending: bool = False
    sources: frozenset[Source] = frozenset(Source)
    size_min: int | None = None
    size_max: int | None = None
    capabilities: frozenset[Capability] = frozenset()
    search: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One model in the list of all. ``alias`` is there for what somebody made; ``access`` says whether it may be used.

    ``size_bytes`` is that of all its files, None where they are not here; ``known`` what their headers told.
    """

    name: str
    file: FileReference
    access: bool
    alias: Alias | None = None
    size_bytes: int | None = None
    known: ShelvedFile | None = None

    @property
    def source(self) -> Source:
        return Source.MODEL if self.alias is None else Source.USER
