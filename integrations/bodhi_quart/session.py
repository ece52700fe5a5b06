"""The session of a Quart application, for an ``identity=`` callback.

Quart opens its sessions inside its own request handling and leaves nothing in the scope, so who stands beside it opens
them with the application's own interface and secret.
"""

from collections.abc import Mapping
from typing import Any

from quart import Quart
from werkzeug.datastructures import Headers


async def session_of(app: Quart, connection: Any) -> Mapping[str, Any]:
    """The session that a connection's cookie opens in ``app``, to read; empty when there is none or it is forged."""
    scope = connection.scope
    headers = Headers([(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]])
    request = app.request_class(
        scope.get("method", "GET"),
        scope.get("scheme", "http"),
        scope["path"],
        scope.get("query_string", b""),
        headers,
        scope.get("root_path", ""),
        scope.get("http_version", "1.1"),
        scope,
        send_push_promise=_push_nothing,
    )
    session = await app.session_interface.open_session(app, request)
    return {} if session is None else dict(session)


async def _push_nothing(path: str, headers: Headers) -> None:
    """Nothing is ever answered to this request."""
