"""The events, past tense, as frozen values. They carry ids, never secrets or prompt text."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Event:
    """The root of all events."""


@dataclass(frozen=True, slots=True)
class ServerStarted(Event):
    """Every service is open."""


@dataclass(frozen=True, slots=True)
class ServerDraining(Event):
    """The server takes nothing new and ends its streams."""


@dataclass(frozen=True, slots=True)
class TokenCreated(Event):
    """An API token was made by ``owner_id``."""

    token_id: str
    owner_id: str


@dataclass(frozen=True, slots=True)
class TokenUpdated(Event):
    """An API token has another name or status."""

    token_id: str


@dataclass(frozen=True, slots=True)
class TokenRevoked(Event):
    """An API token is valid no more."""

    token_id: str


@dataclass(frozen=True, slots=True)
class AliasCreated(Event):
    """There is a new alias of a model, made or copied."""

    alias_id: str
    name: str


@dataclass(frozen=True, slots=True)
class AliasUpdated(Event):
    """An alias was replaced; ``name`` is its name from now on."""

    alias_id: str
    name: str


@dataclass(frozen=True, slots=True)
class AliasDeleted(Event):
    """An alias is gone; its file is still there."""

    alias_id: str
    name: str


@dataclass(frozen=True, slots=True)
class ModelLoading(Event):
    """So much of ``model`` is loaded: ``fraction`` is from 0 to 1. Told at most ten times a second."""

    model: str
    fraction: float


@dataclass(frozen=True, slots=True)
class ModelLoaded(Event):
    """An engine for ``model`` is ready."""

    model: str


@dataclass(frozen=True, slots=True)
class ModelUnloaded(Event):
    """The engine of ``model`` gave its memory back in order; ``reason`` is idle, room, stopped or ended."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class EngineDied(Event):
    """The engine of ``model`` ended unasked; ``reason`` is its exit status and last words."""

    model: str
    reason: str


@dataclass(frozen=True, slots=True)
class ModelFilesChanged(Event):
    """So many model files on this machine came, became others, or went."""

    added: int
    changed: int
    removed: int


@dataclass(frozen=True, slots=True)
class ModelFilesDescribed(Event):
    """The headers of so many model files were read, and what they tell can be asked for."""

    count: int


@dataclass(frozen=True, slots=True)
class ModelFileRemoved(Event):
    """A model file was removed from the cache."""

    repo: str
    filename: str
    snapshot: str


@dataclass(frozen=True, slots=True)
class DownloadProgressed(Event):
    """A download of ``repo`` has come so far, or has another status. Told at most ten times a second."""

    download_id: str
    repo: str
    status: str
    downloaded_bytes: int
    total_bytes: int
    bytes_per_second: int
