"""``request.bodhi``: every verb for views of both kinds, ``chat_completion`` in sync, ``achat_completion`` in async.

One object serves both, as Django's own managers do.
"""

from types import SimpleNamespace
from typing import Any

from django.http import HttpRequest

from bodhi_asgi import Bodhi, Caller, SyncBodhi
from bodhi_asgi.loops import this_loop
from bodhi_django.identity import CALLER, caller_of
from bodhi_django.process import bodhi_app
from bodhi_django.requests import presents_token, scope_of


class DjangoBodhi(SyncBodhi):
    """The verbs, bound to one caller: by their names for sync code, with an ``a`` before them to be awaited.

    ``asynchronous`` has what an ``a`` cannot name, such as the verbs on aliases and downloads.
    """

    @property
    def asynchronous(self) -> Bodhi:
        """The same verbs as asynchronous calls, under their own names."""
        return self._of

    def as_caller(self, caller: Caller) -> "DjangoBodhi":
        """The same verbs for another caller."""
        return DjangoBodhi(self._of.as_caller(caller))

    def for_request(self, request: Any) -> "DjangoBodhi":
        """The same verbs for the user of a request, as ``BODHI["IDENTITY"]`` names them, or for its API token.

        In a sync view Django's user is looked up here, in an async one by the first verb.
        """
        scope = scope_of(request)
        if not presents_token(request) and this_loop() is None:
            scope[CALLER] = caller_of(request)
        return DjangoBodhi(self._of.for_request(SimpleNamespace(scope=scope)))

    def __getattr__(self, name: str) -> Any:
        verb = name[1:] if name.startswith("a") else ""
        if verb.startswith("_") or not callable(getattr(Bodhi, verb, None)):
            raise AttributeError(f"request.bodhi has no verb {name!r}")
        return getattr(self._of, verb)

    def __dir__(self) -> list[str]:
        verbs = [name for name in dir(Bodhi) if not name.startswith("_") and callable(getattr(Bodhi, name))]
        return sorted({*super().__dir__(), *(f"a{name}" for name in verbs)})


def get_bodhi(request: HttpRequest) -> Bodhi:
    """The asynchronous verbs for the application itself, from a request of Django's.

    They are those of the server that ``bodhi_asgi()`` put around Django, or of the process's own.
    """
    state = getattr(request, "scope", {}).get("state") or {}
    found = state.get("bodhi")
    return found if isinstance(found, Bodhi) else bodhi_app().server
