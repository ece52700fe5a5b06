"""``MIDDLEWARE += ["bodhi_django.middleware.BodhiMiddleware"]``: every request has ``request.bodhi``.

It is neither sync nor async but both, so that it costs no thread; nothing is made before a view uses it.
"""

from collections.abc import Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest
from django.utils.functional import SimpleLazyObject

from bodhi_django.verbs import DjangoBodhi, get_bodhi


class BodhiMiddleware:
    """``request.bodhi`` acts for the application itself, ``request.bodhi.for_request(request)`` for its user."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> Any:
        request.bodhi = SimpleLazyObject(lambda: DjangoBodhi(get_bodhi(request)))
        return self.get_response(request)
