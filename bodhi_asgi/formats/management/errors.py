"""The management error envelope: ``{"error": {"message", "type", "code", "params"?, "param"?}}``.

``params`` holds evidence as text, ``param`` the offending field, so that clients of both kinds find what they look for.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bodhi_asgi.errors import BodhiError, Kind
from bodhi_asgi.types import JSONObject

TYPES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.INVALID: "invalid_request_error",
        Kind.UNAUTHENTICATED: "authentication_error",
        Kind.FORBIDDEN: "forbidden_error",
        Kind.NOT_FOUND: "not_found_error",
        Kind.METHOD_NOT_ALLOWED: "invalid_request_error",
        Kind.CONFLICT: "conflict_error",
        Kind.TOO_LARGE: "invalid_request_error",
        Kind.UNSUPPORTED: "invalid_request_error",
        Kind.QUARANTINED: "unprocessable_entity_error",
        Kind.BUSY: "rate_limit_error",
        Kind.UNAVAILABLE: "service_unavailable",
        Kind.BROKEN: "internal_server_error",
    }
)


def error_body(error: BodhiError) -> JSONObject:
    """The envelope for ``error``."""
    inner: JSONObject = {"message": error.message, "type": TYPES[error.kind], "code": error.code}
    if error.params:
        inner["params"] = {name: str(value) for name, value in error.params.items()}
    if error.param is not None:
        inner["param"] = error.param
    return {"error": inner}
