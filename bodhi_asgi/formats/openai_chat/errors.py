"""The OpenAI error envelope: ``{"error": {"message", "type", "param", "code"}}``.

Codes are OpenAI's own where that API has one (``model_not_found``, ``context_length_exceeded``), ours elsewhere.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from bodhi_asgi.errors import BodhiError, Kind
from bodhi_asgi.types import JSONObject

TYPES: Final[Mapping[Kind, str]] = MappingProxyType(
    {
        Kind.UNAUTHENTICATED: "authentication_error",
        Kind.FORBIDDEN: "permission_error",
        Kind.NOT_FOUND: "invalid_request_error",
        Kind.BUSY: "rate_limit_error",
        Kind.BROKEN: "server_error",
        Kind.UNAVAILABLE: "server_error",
    }
)


def error_body(error: BodhiError) -> JSONObject:
    """The envelope for ``error``; every kind that is the client's to mend is an ``invalid_request_error``."""
    return {
        "error": {
            "message": error.message,
            "type": TYPES.get(error.kind, "invalid_request_error"),
            "param": error.param,
            "code": error.openai_code or error.code,
        }
    }
