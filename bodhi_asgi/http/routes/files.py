"""The model files on this machine, in the management dialect: list them, remove one, read their headers anew."""

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.management.files import (
    FILE_QUERY,
    FILES_QUERY,
    LocalModelPage,
    QueueStatusResponse,
    RefreshQueued,
    RefreshRequest,
    RemovedFiles,
    decode_query,
    encode_as_model,
    encode_files,
    encode_removed,
    file_of,
)
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.query import SWITCH, switch
from bodhi_asgi.http.route import Call, Route
from bodhi_asgi.shelf.names import names_of
from bodhi_asgi.validation import validated


async def list_files(call: Call) -> Response:
    """The files of the models that the caller may list, in pages."""
    page = await call.services.shelf.list(call.caller, decode_query(call.query))
    return json_response(encode_files(page).model_dump())


async def delete(call: Call) -> Response:
    """Remove a file from the cache, when nothing needs it."""
    removed = await call.services.shelf.delete(call.caller, *file_of(call.query), force=switch(call, "force"))
    return json_response(encode_removed(removed).model_dump())


async def refresh(call: Call) -> Response:
    """Have all headers read anew in the background, or one at once."""
    asked = validated(RefreshRequest, await call.json())
    if asked.source == "all":
        await call.services.shelf.refresh(call.caller)
        return json_response(RefreshQueued().model_dump(), status=202)
    where = file_of({"repo": asked.repo, "filename": asked.filename, "snapshot": asked.snapshot})
    found = await call.services.shelf.refresh_file(call.caller, *where)
    access = any(map(call.caller.may_use, names_of(found.file)))
    return json_response(encode_as_model(found, access=access).model_dump())


async def queue_status(call: Call) -> Response:
    """Whether headers are still to be read."""
    return json_response(QueueStatusResponse(status=await call.services.shelf.queue_status(call.caller)).model_dump())


FILES = "/bodhi/v1/models/files"

ROUTES = (
    Route(
        method="GET",
        path=FILES,
        name="list_model_files",
        summary="List the model files on this machine",
        tag="models",
        access=Scope.MODELS_READ,
        handler=list_files,
        response=LocalModelPage,
        query=FILES_QUERY,
        errors=frozenset({Kind.UNAVAILABLE}),
    ),
    Route(
        method="DELETE",
        path=FILES,
        name="delete_model_file",
        summary="Remove a model file from the cache",
        tag="models",
        access=Scope.MODELS_WRITE,
        handler=delete,
        response=RemovedFiles,
        query={**FILE_QUERY, "force": SWITCH},
        errors=frozenset({Kind.NOT_FOUND, Kind.CONFLICT, Kind.UNAVAILABLE}),
    ),
    Route(
        method="POST",
        path="/bodhi/v1/models/refresh",
        name="refresh_model_files",
        summary="Read the headers of model files anew",
        tag="models",
        access=Scope.MODELS_WRITE,
        handler=refresh,
        request=RefreshRequest,
        response=RefreshQueued,
        status=202,
        errors=frozenset({Kind.NOT_FOUND, Kind.UNAVAILABLE}),
    ),
    Route(
        method="GET",
        path="/bodhi/v1/queue",
        name="get_queue_status",
        summary="Whether headers of model files are still to be read",
        tag="models",
        access=Scope.MODELS_READ,
        handler=queue_status,
        response=QueueStatusResponse,
        errors=frozenset({Kind.UNAVAILABLE}),
    ),
)
