"""Models in memory, in the management dialect: which there are, load one, unload one."""

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.management.engines import (
    LoadedModel,
    LoadedModels,
    LoadModelRequest,
    encode_engine,
    encode_engines,
)
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.query import SWITCH, switch
from bodhi_asgi.http.route import Call, Route
from bodhi_asgi.validation import validated

FORCE_QUERY = {"force": SWITCH}


async def list_engines(call: Call) -> Response:
    """Every model in memory, of all processes that share the data directory."""
    found = await call.services.engine_management.list(call.caller)
    return json_response(encode_engines(found).model_dump())


async def load(call: Call) -> Response:
    """Load a model; the answer comes when it stands."""
    asked = validated(LoadModelRequest, await call.json())
    status = await call.services.engine_management.load(call.caller, call.path["model"], keep_alive_s=asked.keep_alive)
    return json_response(encode_engine(status).model_dump())


async def unload(call: Call) -> Response:
    """Unload a model that is idle, or with ``force`` one that is at work too; one that is not loaded stays so."""
    await call.services.engine_management.unload(call.caller, call.path["model"], force=switch(call, "force"))
    return Response(status_code=204)


ENGINES = "/bodhi/v1/engines"
ONE = ENGINES + "/{model:path}"

ROUTES = (
    Route(
        method="GET",
        path=ENGINES,
        name="list_engines",
        summary="List the models in memory",
        tag="engines",
        access=Scope.ENGINES_READ,
        handler=list_engines,
        response=LoadedModels,
    ),
    Route(
        method="PUT",
        path=ONE,
        name="load_model",
        summary="Load a model",
        tag="engines",
        access=Scope.ENGINES_WRITE,
        handler=load,
        request=LoadModelRequest,
        response=LoadedModel,
        errors=frozenset({Kind.NOT_FOUND, Kind.UNAVAILABLE}),
    ),
    Route(
        method="DELETE",
        path=ONE,
        name="unload_model",
        summary="Unload a model",
        tag="engines",
        access=Scope.ENGINES_WRITE,
        handler=unload,
        status=204,
        query=FORCE_QUERY,
        errors=frozenset({Kind.NOT_FOUND, Kind.CONFLICT, Kind.UNAVAILABLE}),
    ),
)
