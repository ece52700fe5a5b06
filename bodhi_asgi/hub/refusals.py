"""From an answer of the hub, or none, to our own error: the hub tells by headers what is missing or forbidden."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from bodhi_asgi.errors import BodhiError
from bodhi_asgi.hub.errors import (
    HubAnswerInvalid,
    HubFileNotFound,
    HubRateLimited,
    HubTokenRefused,
    HubUnreachable,
    RepositoryDisabled,
    RepositoryGated,
    RepositoryNotFound,
    RevisionNotFound,
)
from bodhi_asgi.hub.types import HubFile

BAD_TOKEN: Final = "Invalid credentials in Authorization header"  # noqa: S105  # the hub's words
DISABLED: Final = "Access to this resource is disabled."
LONGEST_S: Final = 86_400.0
PASSING_STATUSES: Final = frozenset({408, 429, 500, 502, 503, 504})


class Passing(Exception):
    """Something went wrong that may go right in a moment; ``error`` is what to say when it does not."""

    def __init__(self, error: BodhiError) -> None:
        super().__init__(error.message)
        self.error = error


def refusal(status: int, headers: Mapping[str, str], repo: str, file: HubFile | None = None) -> BodhiError:
    """What the hub's refusal means, by its ``X-Error-Code`` and else by its status."""
    code, told = headers.get("x-error-code"), headers.get("x-error-message")
    at = f"'{file.revision}' of '{repo}'" if file else f"'{repo}'"
    if code == "RevisionNotFound":
        return RevisionNotFound(f"the hub has no revision {at}", repo=repo)
    if code == "EntryNotFound" and file is not None:
        return HubFileNotFound(f"the hub has no file '{file.filename}' at {at}", repo=repo, filename=file.filename)
    if code == "GatedRepo":
        return RepositoryGated(
            f"'{repo}' is gated: accept its terms on the hub, and set hub.token to a token of that account", repo=repo
        )
    if told == DISABLED:
        return RepositoryDisabled(f"the hub has disabled '{repo}'", repo=repo)
    if told == BAD_TOKEN:
        return HubTokenRefused("the hub does not accept the token in hub.token; make a new one on the hub")
    if code == "RepoNotFound" or status in (401, 404):
        return RepositoryNotFound(
            f"the hub has no repository '{repo}', or it is private and hub.token has no access", repo=repo
        )
    if status == 403:
        return HubTokenRefused(f"the hub does not let the token in hub.token read '{repo}'", repo=repo)
    if status == 429:
        return HubRateLimited(
            "the hub has had too many requests from here; it is asked again later",
            retry_after_s=retry_after_s(headers),
        )
    if status in PASSING_STATUSES or status >= 500:
        return HubUnreachable(
            f"the hub fails: it answered with status {status}", retry_after_s=retry_after_s(headers), status=status
        )
    return HubAnswerInvalid(f"the hub answered with status {status}, which means nothing here", status=status)


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds that ``Retry-After`` asks for, a number or a date beside the answer's own ``Date``: a day at most."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit() and len(value) < 10:
        return min(float(value), LONGEST_S)
    try:
        until, then = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return min(max(0.0, (until - then).total_seconds()), LONGEST_S)
    except (TypeError, ValueError):
        return None
