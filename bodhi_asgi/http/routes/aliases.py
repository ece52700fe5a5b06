"""All models in one list, and aliases, in the management dialect."""

from typing import Any

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.query import SWITCH, switch
from bodhi_asgi.http.route import Call, Route
from bodhi_asgi.models.types import ModelEntry
from bodhi_asgi.models.wire import (
    MODELS_QUERY,
    CopyAliasRequest,
    ModelPage,
    UserAliasRequest,
    UserAliasResponse,
    decode_alias,
    decode_copy,
    decode_models_query,
    encode_alias,
    encode_models,
)


async def list_all(call: Call) -> Response:
    """Models of the settings, aliases, and files of this machine: all that the caller may know of."""
    page = await call.services.catalogue.list(call.caller, decode_models_query(call.query))
    return json_response(encode_models(page).model_dump())


async def get(call: Call) -> Response:
    """One alias, the caller's own or one that is shared."""
    return _alias(await call.services.catalogue.get(call.caller, call.path["id"]))


async def create(call: Call) -> Response:
    """Make an alias. Its file need not be here yet."""
    spec = decode_alias(await call.json())
    return _alias(await call.services.catalogue.create(call.caller, spec), status=201)


async def update(call: Call) -> Response:
    """Replace an alias, its name included; the next request that names it finds it changed."""
    spec = decode_alias(await call.json())
    return _alias(await call.services.catalogue.update(call.caller, call.path["id"], spec))


async def copy(call: Call) -> Response:
    """Make the same alias under another name."""
    name = decode_copy(await call.json())
    return _alias(await call.services.catalogue.copy(call.caller, call.path["id"], name), status=201)


async def delete(call: Call) -> Response:
    """Remove an alias; its file stays, unless it is to go ``with_file``."""
    with_file, force = switch(call, "with_file"), switch(call, "force")
    await call.services.catalogue.delete(call.caller, call.path["id"], with_file=with_file, force=force)
    return Response(status_code=200)


def _alias(entry: ModelEntry, *, status: int = 200) -> Response:
    return json_response(encode_alias(entry).model_dump(), status=status)


def _route(method: str, path: str, name: str, summary: str, handler: Any, *kinds: Kind, **more: Any) -> Route:
    access = Scope.MODELS_READ if method == "GET" else Scope.MODELS_WRITE
    errors = frozenset({Kind.UNAVAILABLE, *kinds})
    return Route(
        method=method,
        path=path,
        name=name,
        summary=summary,
        tag="models",
        access=access,
        handler=handler,
        errors=errors,
        **more,
    )


MODELS = "/bodhi/v1/models"
ALIASES = MODELS + "/alias"
ONE = ALIASES + "/{id}"

ROUTES = (
    _route("GET", MODELS, "list_all_models", "List all models", list_all, response=ModelPage, query=MODELS_QUERY),
    _route(
        "POST", ALIASES, "create_alias", "Create an alias", create, Kind.FORBIDDEN,
        request=UserAliasRequest, response=UserAliasResponse, status=201,
    ),
    _route(
        "PUT", ONE, "update_alias", "Replace an alias", update, Kind.FORBIDDEN, Kind.NOT_FOUND,
        request=UserAliasRequest, response=UserAliasResponse,
    ),
    _route(
        "DELETE", ONE, "delete_alias", "Remove an alias", delete, Kind.NOT_FOUND, Kind.CONFLICT,
        content_type="", query={"with_file": SWITCH, "force": SWITCH},
    ),
    _route(
        "POST", ONE + "/copy", "copy_alias", "Copy an alias", copy, Kind.NOT_FOUND,
        request=CopyAliasRequest, response=UserAliasResponse, status=201,
    ),
    # Last, because everything else below this path would be an id.
    _route("GET", MODELS + "/{id}", "get_alias", "Get an alias", get, Kind.NOT_FOUND, response=UserAliasResponse),
)  # fmt: skip
