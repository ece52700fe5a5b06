"""The OpenAPI 3.1 document, made of the route table and the shapes it names."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic.json_schema import models_json_schema

from bodhi_asgi import __version__
from bodhi_asgi.errors import STATUS, Kind
from bodhi_asgi.formats.openai_chat.schema import ChatCompletionChunk
from bodhi_asgi.http.route import Access, Dialect, Route

REF = "#/components/schemas/{model}"
PARAMETER = re.compile(r"{(\w+)(?::\w+)?}")

DESCRIPTIONS = {
    Kind.INVALID: "A field is missing, unknown or out of range; `param` names it.",
    Kind.UNAUTHENTICATED: "No valid credential.",
    Kind.FORBIDDEN: "The caller may not do this.",
    Kind.NOT_FOUND: "No such thing, or none that the caller may know of.",
    Kind.METHOD_NOT_ALLOWED: "The path has other methods.",
    Kind.CONFLICT: "It does not fit the present state; look at that first.",
    Kind.TOO_LARGE: "The body is over the limit.",
    Kind.UNSUPPORTED: "The content type or encoding is not accepted.",
    Kind.QUARANTINED: "This very request has ended an engine twice.",
    Kind.BUSY: "The queue is full; see `Retry-After` and `X-Queue-Position`.",
    Kind.UNAVAILABLE: "A part is down; trying again is sensible.",
}


def document(routes: Iterable[Route], *, server_url: str) -> dict[str, Any]:
    """The document for ``routes`` below ``server_url``."""
    rows = list(routes)
    models = {model for route in rows for model in (route.request, route.response) if model} | {ChatCompletionChunk}
    ordered = sorted(models, key=lambda model: model.__name__)
    _, shapes = models_json_schema([(model, "validation") for model in ordered], ref_template=REF)
    schemas: dict[str, Any] = {**shapes.get("$defs", {}), **_error_shapes()}
    paths: dict[str, Any] = {}
    for route in rows:
        path = PARAMETER.sub(r"{\1}", route.path)
        paths.setdefault(path, {})[route.method.lower()] = operation(route)
    return {
        "openapi": "3.1.0",
        "info": {"title": "bodhi_asgi", "version": __version__, "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": server_url}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "An API token: `bodhi token create`."}
            },
        },
    }


def operation(route: Route) -> dict[str, Any]:
    """One operation object."""
    described: dict[str, Any] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": (route.handler.__doc__ or "").strip(),
        "tags": [route.tag],
        "responses": {
            **{str(status): _success(route) for status in (route.status, route.or_status) if status},
            **{str(STATUS[kind]): _error(route, kind) for kind in kinds(route)},
        },
        "security": [] if route.access is Access.ANONYMOUS else [{"bearer": []}],
    }
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in PARAMETER.findall(route.path)
    ]
    parameters += [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in route.query.items()]
    if parameters:
        described["parameters"] = parameters
    if route.request is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _ref(route.request)}}}
    return described


def kinds(route: Route) -> list[Kind]:
    """Every kind of error that a route can answer."""
    found = set(route.errors)
    if route.access is not Access.ANONYMOUS:
        found |= {Kind.UNAUTHENTICATED, Kind.FORBIDDEN, Kind.BUSY, Kind.UNAVAILABLE}
    else:
        found |= {Kind.FORBIDDEN}
    if route.reads_body:
        found |= {Kind.INVALID, Kind.TOO_LARGE, Kind.UNSUPPORTED}
    if route.query or "{" in route.path:
        found |= {Kind.INVALID, Kind.NOT_FOUND}
    return sorted(found, key=lambda kind: STATUS[kind])


def _success(route: Route) -> dict[str, Any]:
    if route.status == 204 or not route.content_type:
        return {"description": "Done."}
    content: dict[str, Any] = {route.content_type: {"schema": _ref(route.response) if route.response else {}}}
    if route.streams:
        content["text/event-stream"] = {"schema": {"type": "string", "description": "Chunks, then `[DONE]`."}}
    return {"description": "Done.", "content": content}


def _error(route: Route, kind: Kind) -> dict[str, Any]:
    name = "OpenAIError" if route.dialect is Dialect.OPENAI else "ManagementError"
    schema: dict[str, Any] = {"$ref": REF.format(model=name)}
    if route.tag == "health" and kind is Kind.UNAVAILABLE and route.response is not None:
        schema = {"anyOf": [_ref(route.response), schema]}
    return {"description": DESCRIPTIONS[kind], "content": {"application/json": {"schema": schema}}}


def _ref(model: type) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _error_shapes() -> dict[str, Any]:
    text, maybe = {"type": "string"}, {"type": ["string", "null"]}
    openai = {"message": text, "type": text, "param": maybe, "code": maybe}
    management = {
        "message": text,
        "type": text,
        "code": text,
        "param": text,
        "params": {"type": "object", "additionalProperties": text},
    }
    return {
        "OpenAIError": _envelope(openai, ["message", "type", "param", "code"]),
        "ManagementError": _envelope(management, ["message", "type", "code"]),
    }


def _envelope(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    inner = {"type": "object", "properties": properties, "required": required}
    return {"type": "object", "properties": {"error": inner}, "required": ["error"]}
