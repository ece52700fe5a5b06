"""What a failed verb answers in a host's own handlers."""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from bodhi_asgi import BodhiError


def answer_error(request: Request[Any, Any, Any], error: BodhiError) -> Response[Any]:  # noqa: ARG001
    """An exception handler for a host whose own handlers call the verbs.

    ``Litestar(exception_handlers={BodhiError: answer_error})`` answers with the error's own status instead of a 500.
    """
    body = {"error": {"message": error.message, "code": error.code, "param": error.param}}
    return Response(body, status_code=error.status, headers=headers_of(error))


def http_exception(error: BodhiError) -> HTTPException:
    """``error`` as Litestar's own kind, for its dependencies."""
    return HTTPException(detail=error.message, status_code=error.status, headers=headers_of(error))


def headers_of(error: BodhiError) -> dict[str, str]:
    """The headers that belong to an error's status."""
    headers = {} if error.retry_after_s is None else {"retry-after": str(max(1, round(error.retry_after_s)))}
    return headers | ({"www-authenticate": "Bearer"} if error.status == 401 else {})
