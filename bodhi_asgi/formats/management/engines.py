"""The shapes of ``/bodhi/v1/engines``."""

from collections.abc import Iterable
from typing import Literal

from pydantic import BaseModel

from bodhi_asgi.engine.types import EngineStatus
from bodhi_asgi.validation import WireModel
from bodhi_asgi.wire.keep_alive import KeepAlive


class LoadModelRequest(WireModel):
    """How long the model stays without work: seconds, or a duration such as ``"5m"``; as its settings say if absent."""

    keep_alive: KeepAlive | None = None


class LoadedModel(BaseModel):
    """A model in memory. ``progress`` of its load is from 0 to 1; seconds are null where they do not apply."""

    model: str
    state: Literal["loading", "ready", "leaving", "silent"]
    pid: int
    progress: float
    reserved_bytes: int
    context_tokens: int
    slots: int
    running: int
    waiting: int
    hosts: int
    idle_s: float | None
    expires_in_s: float | None


class LoadedModels(BaseModel):
    """Every model in memory that the caller may know of."""

    data: list[LoadedModel]


def encode_engines(found: Iterable[EngineStatus]) -> LoadedModels:
    return LoadedModels(data=[encode_engine(status) for status in found])


def encode_engine(status: EngineStatus) -> LoadedModel:
    return LoadedModel(
        model=status.model,
        state=status.state,
        pid=status.pid,
        progress=status.progress,
        reserved_bytes=status.reserved_bytes,
        context_tokens=status.n_ctx,
        slots=status.slots,
        running=status.running,
        waiting=max(status.waiting, status.under_way - status.running),
        hosts=status.hosts,
        idle_s=status.idle_s,
        expires_in_s=status.expires_in_s,
    )
