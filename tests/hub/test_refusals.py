"""What an answer of the hub means, by its headers and its status."""

import pytest

from bodhi_asgi.errors import BodhiError
from bodhi_asgi.hub import errors
from bodhi_asgi.hub.refusals import refusal, retry_after_s
from bodhi_asgi.hub.types import HubFile

FILE = HubFile("owner/model", "model.gguf")
DATE = "Thu, 26 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("status", "headers", "error", "wire_code"),
    [
        (403, {"x-error-code": "GatedRepo"}, errors.RepositoryGated, "hub_service_error-gated_access"),
        (404, {"x-error-code": "RepoNotFound"}, errors.RepositoryNotFound, "hub_service_error-may_not_exist"),
        (401, {"x-error-code": "RepoNotFound"}, errors.RepositoryNotFound, "hub_service_error-may_not_exist"),
        (401, {}, errors.RepositoryNotFound, "hub_service_error-may_not_exist"),
        (404, {}, errors.RepositoryNotFound, "hub_service_error-may_not_exist"),
        (404, {"x-error-code": "RevisionNotFound"}, errors.RevisionNotFound, "hub_service_error-may_not_exist"),
        (404, {"x-error-code": "EntryNotFound"}, errors.HubFileNotFound, "hub_service_error-file_not_found"),
        (
            403,
            {"x-error-message": "Access to this resource is disabled."},
            errors.RepositoryDisabled,
            "hub_service_error-repo_disabled",
        ),
        (
            401,
            {"x-error-message": "Invalid credentials in Authorization header"},
            errors.HubTokenRefused,
            "hub_service_error-token_refused",
        ),
        (403, {}, errors.HubTokenRefused, "hub_service_error-token_refused"),
        (429, {}, errors.HubRateLimited, "hub_service_error-rate_limited"),
        (503, {}, errors.HubUnreachable, "hub_service_error-transport"),
        (599, {}, errors.HubUnreachable, "hub_service_error-transport"),
        (418, {}, errors.HubAnswerInvalid, "hub_service_error-answer_invalid"),
    ],
)
def test_a_refusal_has_the_code_of_the_wire(
    status: int, headers: dict[str, str], error: type[BodhiError], wire_code: str
) -> None:
    told = refusal(status, headers, "owner/model", FILE)
    assert type(told) is error
    assert told.code == wire_code
    assert told.message.isprintable()


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "120"}, 120),
        ({"retry-after": " 0 "}, 0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "9" * 40}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Thu, 26 Nov 2026 12:01:30 GMT", "date": DATE}, 90),
        ({"retry-after": "Thu, 26 Nov 2026 11:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": "Thu, 26 Nov 2026 12:01:30 GMT"}, None),
        ({"retry-after": "999999999"}, 86_400),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": DATE}, 86_400),
        ({"retry-after": "Thu, 26 Nov 2026 12:01:30", "date": DATE}, None),
    ],
)
def test_when_to_come_back_is_a_number_or_a_date_beside_the_answers_own(
    headers: dict[str, str], seconds: float | None
) -> None:
    assert retry_after_s(headers) == seconds
