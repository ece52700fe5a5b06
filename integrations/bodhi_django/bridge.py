"""The view behind Django's middleware: the same application as at a mount, with Django's own user.

It is one async view. Under WSGI Django runs it too, and then everything happens in the thread of the request, while the
application runs on the loop in the background.
"""

from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.conf import settings
from django.db.transaction import non_atomic_requests
from django.http import HttpRequest, HttpResponseBase
from django.middleware.csrf import CsrfViewMiddleware
from django.utils.module_loading import import_string
from django.views.decorators.csrf import csrf_exempt

from bodhi_django.answers import AsyncAnswer, SyncAnswer, is_stream, streamed, whole
from bodhi_django.identity import CALLER, CSRF, caller_of
from bodhi_django.process import bodhi_app
from bodhi_django.requests import presents_token, scope_of

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})


@non_atomic_requests  # type: ignore[untyped-decorator]  # Django has no types
@csrf_exempt  # type: ignore[untyped-decorator]
async def bridge(request: HttpRequest, rest: str) -> HttpResponseBase:
    """Answer a request below our prefix; ``rest`` is its path without it.

    The view is exempt from CSRF protection because API tokens need none; whoever comes by session is held to it by us.
    """
    request.get_host()  # raises what Django answers 400 to
    if not hasattr(request, "scope"):
        return await sync_to_async(answer_in_thread)(request, rest)
    known = {CALLER: None} if presents_token(request) else await sync_to_async(admitted)(request)
    return known if isinstance(known, HttpResponseBase) else await answer(request, rest, known)


bridge.login_required = False


async def answer(request: HttpRequest, rest: str, known: dict[str, Any]) -> HttpResponseBase:
    """Under ASGI. Django cancels this when the client goes, and with it the application."""
    async with AsyncExitStack() as stack:
        asked = AsyncAnswer(bodhi_app(), {**scope_of(request, rest), **known}, request)
        stack.push_async_callback(asked.aclose)
        start = await asked.message()
        if is_stream(start):
            stack.pop_all()
            return streamed(start, asked)
        return whole(request, start, b"".join([piece async for piece in asked]))


def answer_in_thread(request: HttpRequest, rest: str) -> HttpResponseBase:
    """Under WSGI, in the thread of the request; the server closes a stream when the client goes."""
    known = {CALLER: None} if presents_token(request) else admitted(request)
    if isinstance(known, HttpResponseBase):
        return known
    with ExitStack() as stack:
        asked = SyncAnswer(bodhi_app(), {**scope_of(request, rest), **known}, request)
        stack.callback(asked.close)
        start = asked.message()
        if is_stream(start):
            stack.pop_all()
            return streamed(start, asked)
        return whole(request, start, b"".join(asked))


def admitted(request: HttpRequest) -> dict[str, Any] | HttpResponseBase:
    """What Django knows of who asks, for the scope; or its way to the login, where all of its pages need one."""
    user = getattr(request, "user", None)
    if user is not None and not user.is_authenticated and asks_for_a_page(request):
        for guard in login_guards():
            return guard.handle_no_permission(request, bridge)
    known: dict[str, Any] = {CALLER: caller_of(request)}
    if request.method not in SAFE_METHODS and (problem := csrf_problem(request)):
        known[CSRF] = problem
    return known


def login_guards() -> Iterator[Any]:
    """Django's LoginRequiredMiddleware, if the project has it: it knows no callers with API tokens, who must pass."""
    for path in settings.MIDDLEWARE:
        found = import_string(path)
        if hasattr(found, "handle_no_permission"):
            yield found(lambda _: None)


def asks_for_a_page(request: HttpRequest) -> bool:
    """Whether a browser asks, which names HTML; programs name JSON, or accept whatever comes."""
    return "text/html" in request.headers.get("accept", "")


class CsrfCheck(CsrfViewMiddleware):  # type: ignore[misc]  # Django has no types
    """Django's own protection, asked for its reason instead of its page."""

    def _reject(self, request: HttpRequest, reason: str) -> str:  # noqa: ARG002
        return reason


def csrf_problem(request: HttpRequest) -> str | None:
    """Why Django would refuse this request as forged, or None."""
    check = CsrfCheck(lambda _: None)
    check.process_request(request)
    return check.process_view(request, None, (), {})  # type: ignore[no-any-return]
