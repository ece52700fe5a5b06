"""Errors as responses: kind to status, in the dialect of the route."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

import orjson
from starlette.responses import Response

from bodhi_asgi.errors import BodhiError, Kind
from bodhi_asgi.formats.management.errors import error_body as management_body
from bodhi_asgi.formats.openai_chat.errors import error_body as openai_body
from bodhi_asgi.http.route import Dialect
from bodhi_asgi.http.stream import frame
from bodhi_asgi.types import JSONObject

BODIES: Final[Mapping[Dialect, Callable[[BodhiError], JSONObject]]] = MappingProxyType(
    {Dialect.OPENAI: openai_body, Dialect.MANAGEMENT: management_body}
)
OPENAI_PATHS: Final = "/v1/"


def dialect_of(path: str) -> Dialect:
    """The dialect in which an unknown path is told so."""
    return Dialect.OPENAI if f"{path}/".startswith(OPENAI_PATHS) else Dialect.MANAGEMENT


def error_response(error: BodhiError, dialect: Dialect) -> Response:
    """The response for ``error``. When to come back and the place in line are headers, whatever the dialect."""
    headers = {}
    if error.retry_after_s is not None:
        headers["retry-after"] = str(max(1, math.ceil(error.retry_after_s)))
    if error.kind is Kind.BUSY and "position" in error.params:
        headers["x-queue-position"] = str(error.params["position"])
    if error.kind is Kind.UNAUTHENTICATED:
        headers["www-authenticate"] = "Bearer"
    if error.kind is Kind.METHOD_NOT_ALLOWED:
        headers["allow"] = str(error.params.get("allowed", ""))
    return json_response(BODIES[dialect](error), status=error.status, headers=headers)


def error_frame(dialect: Dialect) -> Callable[[BodhiError], bytes]:
    """How an error in the middle of a stream is said: one frame in the dialect's own form."""
    return lambda error: frame(orjson.dumps(BODIES[dialect](error)))


def json_response(body: object, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """``body`` as JSON."""
    return Response(orjson.dumps(body), status_code=status, headers=headers, media_type="application/json")
