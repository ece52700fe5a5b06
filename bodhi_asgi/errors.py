"""Everything that can go wrong, as one tree: a kind says what the caller may do about it, a code says what happened.

Families derive their own errors from a kind. ``STATUS`` is the published table from kind to HTTP status; the doors
render an error in the dialect of the route, and a direct caller catches it as it is.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import ClassVar, Final


class Kind(StrEnum):
    """What a caller can do about an error."""

    INVALID = "invalid"  # change the request
    UNAUTHENTICATED = "unauthenticated"  # present a valid credential
    FORBIDDEN = "forbidden"  # ask for a permission
    NOT_FOUND = "not_found"  # name something that exists and that you may see
    METHOD_NOT_ALLOWED = "method_not_allowed"  # use another HTTP method
    CONFLICT = "conflict"  # look at the present state first
    TOO_LARGE = "too_large"  # send less
    UNSUPPORTED = "unsupported"  # send another content type
    QUARANTINED = "quarantined"  # this very request has ended an engine twice: do not repeat it
    BUSY = "busy"  # come back after ``retry_after_s``
    UNAVAILABLE = "unavailable"  # a part is down; the rest works
    BROKEN = "broken"  # our fault


STATUS: Final[Mapping[Kind, int]] = MappingProxyType(
    {
        Kind.INVALID: 400,
        Kind.UNAUTHENTICATED: 401,
        Kind.FORBIDDEN: 403,
        Kind.NOT_FOUND: 404,
        Kind.METHOD_NOT_ALLOWED: 405,
        Kind.CONFLICT: 409,
        Kind.TOO_LARGE: 413,
        Kind.UNSUPPORTED: 415,
        Kind.QUARANTINED: 422,
        Kind.BUSY: 429,
        Kind.BROKEN: 500,
        Kind.UNAVAILABLE: 503,
    }
)
"""The HTTP status of each kind, on every route and in every dialect."""


class BodhiError(Exception):
    """The root. ``message`` is one human sentence that says what to do; evidence stands in ``params``.

    ``param`` names the offending field as a path (``messages.2.content``), when there is one. ``retry_after_s`` is a
    hint in seconds for the kinds that pass by themselves. ``openai_code`` is the code on OpenAI routes where that API
    has its own.
    """

    kind: ClassVar[Kind] = Kind.BROKEN
    code: ClassVar[str] = "internal_error"
    openai_code: ClassVar[str | None] = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        **params: str | int | float | bool | None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.params = params

    @property
    def status(self) -> int:
        """The HTTP status of this error's kind."""
        return STATUS[self.kind]


class Invalid(BodhiError):
    """The request is wrong in itself: a field is missing, unknown, of the wrong type or out of range."""

    kind = Kind.INVALID
    code = "invalid_request"


class Unauthenticated(BodhiError):
    """No credential, or one that is not valid."""

    kind = Kind.UNAUTHENTICATED
    code = "unauthenticated"
    openai_code = "invalid_api_key"


class Forbidden(BodhiError):
    """The caller is known and may not do this."""

    kind = Kind.FORBIDDEN
    code = "forbidden"


class NotFound(BodhiError):
    """The thing does not exist, or the caller may not know that it does."""

    kind = Kind.NOT_FOUND
    code = "not_found"


class MethodNotAllowed(BodhiError):
    """The path exists, with other methods."""

    kind = Kind.METHOD_NOT_ALLOWED
    code = "method_not_allowed"


class Conflict(BodhiError):
    """The request does not fit the present state of the thing."""

    kind = Kind.CONFLICT
    code = "conflict"


class TooLarge(BodhiError):
    """A body or a field is over its limit."""

    kind = Kind.TOO_LARGE
    code = "too_large"


class Unsupported(BodhiError):
    """The content type or encoding is not one we read."""

    kind = Kind.UNSUPPORTED
    code = "unsupported_media_type"


class Quarantined(BodhiError):
    """This very request has ended an engine before and is not tried again for a while."""

    kind = Kind.QUARANTINED
    code = "request_quarantined"


class Busy(BodhiError):
    """A queue or limit is full; ``retry_after_s`` says when to come back."""

    kind = Kind.BUSY
    code = "busy"
    openai_code = "rate_limit_exceeded"


class Unavailable(BodhiError):
    """A part of the server is down, and says so; the rest works."""

    kind = Kind.UNAVAILABLE
    code = "unavailable"


class Broken(BodhiError):
    """A fault of ours. The message never carries the text of an inner exception."""

    kind = Kind.BROKEN
    code = "internal_error"


class ConfigurationInvalid(Invalid):
    """A setting has a value that cannot be used; raised at construction or start, never in a request."""

    code = "configuration_invalid"


class MissingDependency(Unavailable):
    """A feature needs an extra that is not installed; ``extra`` names it."""

    code = "missing_dependency"

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f"{what} needs an optional dependency: pip install 'bodhi-asgi[{extra}]'", extra=extra)
        self.extra = extra


class NotStarted(Unavailable):
    """The server was used before it was started, or after it was shut down."""

    code = "not_started"


class ShuttingDown(Unavailable):
    """The server is stopping and takes nothing new; streams end with this error."""

    code = "server_shutting_down"
