"""API tokens in the management dialect, for callers of ``identity=``; an API token never manages tokens."""

from typing import Any

from starlette.responses import Response

from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.management.tokens import (
    CreatedTokenShape,
    CreateTokenRequest,
    TokenDetail,
    TokenPage,
    UpdateTokenRequest,
)
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.query import MAX_TEXT, PAGE_QUERY, page_of, phrase, word
from bodhi_asgi.http.route import Access, Call, Route
from bodhi_asgi.tokens.types import Token, TokenSpec, TokenStatus
from bodhi_asgi.tokens.wire import SCOPES, grants_from_wire, grants_to_wire, scope_name
from bodhi_asgi.validation import validated

STATUSES = tuple(status.value for status in TokenStatus)
LIST_QUERY = {
    **PAGE_QUERY,
    "status": {"type": "string", "enum": list(STATUSES)},
    "search": {"type": "string", "maxLength": MAX_TEXT, "description": "Part of a token's name."},
}


async def create(call: Call) -> Response:
    """Make a token; the answer is the only place its secret ever stands."""
    asked = validated(CreateTokenRequest, await call.json())
    spec = TokenSpec(
        name=asked.name,
        scopes=SCOPES[asked.scope],
        grants=grants_from_wire(asked.grants.model_dump()),
        expires_in_days=asked.expires_in_days,
    )
    created = await call.services.tokens.create(call.caller, spec)
    body = CreatedTokenShape(token=created.token.reveal(), id=created.record.id)
    return json_response(body.model_dump(), status=201)


async def list_tokens(call: Call) -> Response:
    """The caller's own tokens, newest first."""
    status = word(call, "status", STATUSES, "") if "status" in call.query else None
    page = await call.services.tokens.list(call.caller, search=phrase(call, "search"), status=status, **page_of(call))
    data = [_detail(token) for token in page.data]
    body = {"data": data, "total": page.total, "page": page.page, "page_size": page.page_size}
    return json_response(body)


async def get(call: Call) -> Response:
    """One of the caller's tokens."""
    return json_response(_detail(await call.services.tokens.get(call.caller, call.path["id"])))


async def update(call: Call) -> Response:
    """Rename a token, or switch it off and on."""
    asked = validated(UpdateTokenRequest, await call.json())
    status = TokenStatus(asked.status) if asked.status else None
    token = await call.services.tokens.update(call.caller, call.path["id"], name=asked.name, status=status)
    return json_response(_detail(token))


async def revoke(call: Call) -> Response:
    """End a token for good."""
    await call.services.tokens.revoke(call.caller, call.path["id"])
    return Response(status_code=204)


def _detail(token: Token) -> dict[str, Any]:
    return {
        "id": token.id,
        "user_id": token.owner_id,
        "name": token.name,
        "token_prefix": token.prefix,
        "scopes": scope_name(token.scopes),
        "status": token.status.value,
        "grants": grants_to_wire(token.grants),
        "expires_at": token.expires_at,
        "last_used_at": token.last_used_at,
        "created_at": token.created_at,
        "updated_at": token.updated_at,
    }


def _route(method: str, path: str, name: str, summary: str, handler: Any, **more: Any) -> Route:
    errors = frozenset({Kind.NOT_FOUND, Kind.UNAVAILABLE}) if "{id}" in path else frozenset({Kind.UNAVAILABLE})
    # The verb asks for the permission itself, because an API token is refused whatever it has.
    return Route(
        method=method,
        path=path,
        name=name,
        summary=summary,
        tag="tokens",
        access=Access.AUTHENTICATED,
        handler=handler,
        errors=errors,
        **more,
    )


TOKENS = "/bodhi/v1/tokens"
ONE = TOKENS + "/{id}"

ROUTES = (
    _route(
        "POST", TOKENS, "create_token", "Create an API token", create,
        request=CreateTokenRequest, response=CreatedTokenShape, status=201,
    ),
    _route("GET", TOKENS, "list_tokens", "List your API tokens", list_tokens, response=TokenPage, query=LIST_QUERY),
    _route("GET", ONE, "get_token", "Get an API token", get, response=TokenDetail),
    _route("PUT", ONE, "update_token", "Change an API token", update, request=UpdateTokenRequest, response=TokenDetail),
    _route("DELETE", ONE, "revoke_token", "Revoke an API token", revoke, status=204),
)  # fmt: skip
