"""The shapes of the open routes: ping, health, and what the application is."""

from typing import Literal

from pydantic import BaseModel


class PingResponse(BaseModel):
    """The server answers."""

    message: Literal["pong"] = "pong"


class HealthShape(BaseModel):
    """How the server is; the parts are for those who may know."""

    status: Literal["ok", "degraded", "unavailable"]
    parts: dict[str, str] | None = None


class AppInfo(BaseModel):
    """What this is. Version and address are told to callers only."""

    status: Literal["ready"] = "ready"
    deployment: Literal["standalone"] = "standalone"
    version: str | None = None
    commit_sha: str | None = None
    url: str | None = None
