"""Pages of Django's admin, to be read only: all API tokens, and the audit trail.

Who may see them is said by Django's permissions ``bodhi.view_apitoken`` and ``bodhi.view_auditentry``. What they show
comes from the same verbs as everywhere, asked for as a command on this machine asks them.
"""

import json
from collections.abc import Sequence
from typing import Any, ClassVar
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import path
from django.utils.text import capfirst

from bodhi_asgi import BodhiError, Caller, Invalid
from bodhi_asgi.errors import STATUS
from bodhi_django.models import ApiToken, AuditEntry
from bodhi_django.verbs import DjangoBodhi, get_bodhi

PAGE_SIZE = 50


class Listing(admin.ModelAdmin):  # type: ignore[misc]  # Django has no types
    """One table, page by page, and no other page."""

    headings: ClassVar[Sequence[str]]
    searched: ClassVar[str]
    """What the field of the search looks in, for its label."""
    narrowed_by: ClassVar[str]
    """The parameter of ``page`` that has one of the ``words``."""
    words: ClassVar[Sequence[str]]

    def page(self, bodhi: DjangoBodhi, **wanted: Any) -> Any:  # noqa: ARG002
        """The page with that number of what is searched for. May raise BodhiError."""
        raise AssertionError("each listing says what it lists")

    def row(self, entry: Any) -> Sequence[object]:  # noqa: ARG002
        """What is shown of an entry, in the order of the headings."""
        raise AssertionError("each listing says what it shows")

    def get_urls(self) -> list[Any]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_changelist"
        return [path("", self.admin_site.admin_view(self.listing), name=name)]

    def has_add_permission(self, request: HttpRequest) -> bool:  # noqa: ARG002
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:  # noqa: ARG002
        return False

    def listing(self, request: HttpRequest) -> HttpResponse:
        """The page that ``?p=`` names of what ``?q=`` looks for, or in its place one sentence of what went wrong."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found, problem, status = None, "", 200
        question, chosen = request.GET.get("q", ""), request.GET.get(self.narrowed_by, "")
        try:
            bodhi = DjangoBodhi(get_bodhi(request)).as_caller(Caller.system())
            wanted = {"search": question, self.narrowed_by: chosen or None}
            found = self.page(bodhi, page=number_of(request.GET.get("p", "1")), page_size=PAGE_SIZE, **wanted)
        except BodhiError as error:
            problem, status = error.message, STATUS[error.kind]
        context = {
            **self.admin_site.each_context(request),
            "title": capfirst(self.opts.verbose_name_plural),
            "opts": self.opts,
            "headings": self.headings,
            "searched": self.searched,
            "question": question,
            "narrowed_by": self.narrowed_by,
            "words": self.words,
            "chosen": chosen,
            "kept": urlencode({"q": question, self.narrowed_by: chosen}),
            "rows": [self.row(entry) for entry in found.data] if found else [],
            "problem": problem,
            "total": found.total if found else 0,
            "before": found.page - 1 if found else 0,
            "after": found.page + 1 if found and found.page * found.page_size < found.total else 0,
        }
        return TemplateResponse(request, "bodhi_django/listing.html", context, status=status)


@admin.register(ApiToken)
class TokenListing(Listing):
    """All tokens, never a secret."""

    headings = ("Name", "Owner", "Status", "Scopes", "Models", "Expires", "Last used", "Created")
    searched = "Name or owner"
    narrowed_by = "status"
    words = ("active", "inactive", "revoked")

    def page(self, bodhi: DjangoBodhi, **wanted: Any) -> Any:
        return bodhi.list_api_tokens(**wanted)

    def row(self, entry: Any) -> Sequence[object]:
        models = "all" if entry.grants.all_models else ", ".join(sorted(entry.grants.models))
        scopes = ", ".join(sorted(entry.scopes))
        times = (entry.expires_at, entry.last_used_at, entry.created_at)
        return (entry.name, entry.owner_id, str(entry.status), scopes, models, *times)


@admin.register(AuditEntry)
class AuditListing(Listing):
    """Who changed what, or was refused."""

    headings = ("Number", "Time", "Who", "Kind", "Action", "Subject", "Outcome", "Detail")
    searched = "Who, action or subject"
    narrowed_by = "outcome"
    words = ("done", "refused")

    def page(self, bodhi: DjangoBodhi, **wanted: Any) -> Any:
        return bodhi.list_audit_entries(**wanted)

    def row(self, entry: Any) -> Sequence[object]:
        detail = json.dumps(entry.detail, ensure_ascii=False) if entry.detail else ""
        who = (entry.caller_id, entry.caller_kind)
        return (entry.number, entry.at, *who, entry.action, entry.subject, str(entry.outcome), detail)


def number_of(text: str) -> int:
    """The number of a page. Raises Invalid for what is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise Invalid(f"'p' is {text[:20]!r}: the number of a page is accepted", param="p")
    return int(text)
