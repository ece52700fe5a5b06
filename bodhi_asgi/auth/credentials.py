"""The credential a request carries, whichever header it came in."""

from typing import Final

from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.auth.errors import CredentialsAmbiguous
from bodhi_asgi.types import Secret

SENTINEL: Final = "bodhiapp_sentinel_api_key_ignored"
"""What browser clients send that insist on a key and mean the session; it counts as nothing."""

MAX_CHARS: Final = 16 * 1024
BEARER: Final = "bearer"


def credential(connection: Connection) -> Secret | None:
    """The bearer token or ``x-api-key`` of a request. Raises CredentialsAmbiguous when two of them differ."""
    found = {key for key in connection.header_values("x-api-key") if key}
    for value in connection.header_values("authorization"):
        scheme, _, token = value.partition(" ")
        if scheme.lower() == BEARER:
            found.add(token.strip())
    found -= {SENTINEL, ""}
    if len(found) > 1:
        raise CredentialsAmbiguous("the request carries credentials that differ; send one")
    if not found:
        return None
    return Secret(found.pop()[:MAX_CHARS])
