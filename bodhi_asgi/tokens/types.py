"""A token as it is kept, as it is asked for, and as it is handed out."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from bodhi_asgi.caller import Grants, Scope
from bodhi_asgi.types import Secret


class TokenStatus(StrEnum):
    """Whether a token may be used. A revoked one never again, an inactive one when it is switched on."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    REVOKED = "revoked"


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """What a new token shall be. ``expires_in_days`` from 1 to 3,650; None takes the configured lifetime."""

    name: str
    scopes: frozenset[Scope] = frozenset({Scope.MODELS_READ, Scope.INFERENCE})
    grants: Grants = field(default_factory=Grants)
    expires_in_days: int | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """A token without its secret."""

    id: str
    owner_id: str
    name: str
    prefix: str
    status: TokenStatus
    scopes: frozenset[Scope]
    grants: Grants
    expires_at: datetime
    last_used_at: datetime | None
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class CreatedToken:
    """A token with its secret, this one time."""

    token: Secret
    record: Token
