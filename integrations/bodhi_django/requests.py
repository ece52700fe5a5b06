"""A request of Django's as the scope that our application reads, under ASGI and under WSGI alike."""

from collections.abc import Iterable
from typing import Any, Final

from django.http import HttpRequest

from bodhi_django.identity import REQUEST

PLAIN: Final = ("CONTENT_TYPE", "CONTENT_LENGTH")
OURS: Final = "sk-bodhiapp_"
"""What the API tokens begin with."""


def scope_of(request: HttpRequest, rest: str | None = None) -> dict[str, Any]:
    """The scope of a request. ``rest`` is the part of its path that is ours; what is before it is where we are mounted.

    The paths are Django's own view of them, so that they are right below any script name.
    """
    script = str(request.META.get("SCRIPT_NAME") or "").rstrip("/")
    path = f"{script}{request.path_info}"
    scope = dict(request.scope) if hasattr(request, "scope") else _of_wsgi(request)
    # Django's own AsyncClient has a text there, which no server does.
    query = scope.get("query_string", b"")
    scope["query_string"] = query.encode() if isinstance(query, str) else query
    scope |= {"path": path, REQUEST: request, "state": {}}
    if rest is not None:
        scope |= {"root_path": path.removesuffix(rest).rstrip("/"), "app_root_path": script}
    return scope


def presents_token(request: HttpRequest) -> bool:
    """Whether an API token speaks for itself here; then nobody's session is asked, so that nothing can be forged."""
    bearer = request.headers.get("authorization", "").partition(" ")
    keys = [bearer[2].strip() if bearer[0].lower() == "bearer" else "", request.headers.get("x-api-key", "").strip()]
    return any(key.startswith(OURS) for key in keys)


def _of_wsgi(request: HttpRequest) -> dict[str, Any]:
    meta = request.META
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": str(meta.get("SERVER_PROTOCOL", "HTTP/1.1")).rpartition("/")[2],
        "method": request.method or "GET",
        "scheme": request.scheme,
        "query_string": str(meta.get("QUERY_STRING", "")).encode("latin-1", "replace"),
        "headers": list(_headers(meta)),
        "client": (str(meta.get("REMOTE_ADDR", "")), 0),
        "server": (str(meta.get("SERVER_NAME", "")), int(meta.get("SERVER_PORT") or 0)),
    }


def _headers(meta: dict[str, Any]) -> Iterable[tuple[bytes, bytes]]:
    for key, value in meta.items():
        name = key if key in PLAIN else key[5:] if key.startswith("HTTP_") else ""
        if name and value not in (None, ""):
            yield name.lower().replace("_", "-").encode("latin-1"), str(value).encode("latin-1", "replace")
