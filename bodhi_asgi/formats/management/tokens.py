"""The shapes of ``/bodhi/v1/tokens``."""

from datetime import datetime
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BaseModel, Field

from bodhi_asgi.validation import WHOLE, WireModel

TokenName: TypeAlias = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 100})]


class AllModels(WireModel):
    """Every model."""

    type: Literal["all"]


class SpecificModels(WireModel):
    """These models and no others."""

    type: Literal["specific"]
    ids: Annotated[list[Annotated[str, Field(max_length=256)]], Field(max_length=1000, fail_fast=True)] = Field(
        default_factory=list
    )


class GrantsShape(WireModel):
    """Which models a token may list and use; none unless said."""

    version: Literal["1"] = "1"
    models_list: bool = False
    models: Annotated[AllModels | SpecificModels, Field(discriminator="type")] = SpecificModels(type="specific")


class CreateTokenRequest(WireModel):
    """A new token. ``expires_in_days`` from 1 to 3650; the configured lifetime if left out."""

    name: TokenName = "API token"
    scope: Literal["scope_token_user", "scope_token_power_user"]
    grants: GrantsShape = GrantsShape()
    expires_in_days: Annotated[int, Field(ge=1, le=3650), WHOLE] | None = None


class UpdateTokenRequest(WireModel):
    """Another name or status."""

    name: TokenName | None = None
    status: Literal["active", "inactive"] | None = None


class CreatedTokenShape(BaseModel):
    """The secret, this one time."""

    token: str
    id: str


class TokenDetail(BaseModel):
    """A token without its secret."""

    id: str
    user_id: str
    name: str
    token_prefix: str
    scopes: str
    status: Literal["active", "inactive", "revoked"]
    grants: dict[str, Any]
    expires_at: datetime
    last_used_at: datetime | None
    created_at: datetime
    updated_at: datetime


class TokenPage(BaseModel):
    """One page of tokens."""

    data: list[TokenDetail]
    total: int
    page: int
    page_size: int
