"""Cross-origin sharing: off, or for exact origins.

Never with a wildcard, never for ``null``, never with credentials.
"""

from typing import Final

from starlette.responses import Response

from bodhi_asgi.auth.connection import Connection

MAX_AGE_S: Final = "600"


class Cors:
    """The origins that browsers may call from with a token of their own."""

    def __init__(self, origins: tuple[str, ...]) -> None:
        self._origins = frozenset(origins)

    def preflight(self, connection: Connection) -> Response | None:
        """The answer to a browser's question in advance; None when this is no such question or nobody may ask."""
        asks = connection.method == "OPTIONS" and "access-control-request-method" in connection.headers
        if not asks or not self._origin(connection):
            return None
        return Response(
            status_code=204,
            headers={
                "access-control-allow-methods": "GET, POST, PUT, DELETE",
                "access-control-allow-headers": "authorization, content-type, x-api-key",
                "access-control-max-age": MAX_AGE_S,
            },
        )

    def headers(self, connection: Connection) -> list[tuple[bytes, bytes]]:
        """What every answer to an allowed origin carries."""
        if not self._origins:
            return []
        origin = self._origin(connection)
        allowed = [(b"access-control-allow-origin", origin.encode())] if origin else []
        return [*allowed, (b"vary", b"origin")]

    def _origin(self, connection: Connection) -> str:
        origin = connection.headers.get("origin", "")
        return origin if origin in self._origins else ""
