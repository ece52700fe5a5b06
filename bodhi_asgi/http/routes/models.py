"""Models in the OpenAI dialect."""

from starlette.responses import Response

from bodhi_asgi.caller import Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.formats.openai_models import ModelList, ModelObject, encode_model, encode_models
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.route import Call, Dialect, Route


async def list_models(call: Call) -> Response:
    """The models that the caller may list."""
    return json_response(encode_models(await call.services.models.list(call.caller)).model_dump())


async def get_model(call: Call) -> Response:
    """One model; one that the caller may not list is not found."""
    return json_response(encode_model(await call.services.models.get(call.caller, call.path["model"])).model_dump())


ROUTES = (
    Route(
        method="GET",
        path="/v1/models",
        name="list_models",
        summary="List models",
        tag="models",
        access=Scope.MODELS_READ,
        handler=list_models,
        dialect=Dialect.OPENAI,
        response=ModelList,
    ),
    Route(
        method="GET",
        path="/v1/models/{model:path}",
        name="get_model",
        summary="Get a model",
        tag="models",
        access=Scope.MODELS_READ,
        handler=get_model,
        dialect=Dialect.OPENAI,
        response=ModelObject,
        errors=frozenset({Kind.NOT_FOUND}),
    ),
)
