"""A request's body within its limits: JSON only, not encoded, not larger than allowed, counted while it arrives."""

from typing import Final

from starlette.types import Receive

from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.errors import Invalid, TooLarge, Unsupported

JSON_TYPE: Final = "application/json"


class ClientGone(Exception):
    """The client left before its request was complete."""


async def read_body(connection: Connection, receive: Receive, limit: int) -> bytes:
    """The whole body. Raises Unsupported, TooLarge, Invalid, ClientGone."""
    headers = connection.headers
    given = headers.get("content-type", "")
    if given.partition(";")[0].strip().lower() != JSON_TYPE:
        shown = given[:80] or "nothing"
        raise Unsupported(f"the content type is {shown!r}; '{JSON_TYPE}' is accepted", param="content-type")
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding != "identity":
        raise Unsupported(f"the content encoding is {encoding[:40]!r}; send it plain", param="content-encoding")
    _check_length(headers.get("content-length"), limit)
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part = message.get("body", b"")
        size += len(part)
        if size > limit:
            raise _too_large(limit)
        parts.append(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _check_length(declared: str | None, limit: int) -> None:
    if declared is None:
        return
    if not (declared.isascii() and declared.isdigit() and len(declared) <= 18):
        raise Invalid("the content length is no number", param="content-length")
    if int(declared) > limit:
        raise _too_large(limit)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes", param="content-length", limit=limit)
