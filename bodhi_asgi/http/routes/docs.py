"""The OpenAPI document, and a page that shows it. All assets are our own; nothing is loaded from elsewhere."""

from functools import cache
from html import escape
from importlib.resources import files
from typing import Final
from urllib.parse import quote

from starlette.responses import Response

from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.openapi import document
from bodhi_asgi.http.route import Access, Call, Route

CSP: Final = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'"
PAGE_HEADERS: Final = {"content-security-policy": CSP, "referrer-policy": "no-referrer"}
TYPES: Final = {"docs.html": "text/html", "docs.js": "text/javascript", "docs.css": "text/css"}


async def openapi(call: Call) -> Response:
    """The description of every route, with the prefix we are mounted under."""
    from bodhi_asgi.http.table import routes

    root_path = str(call.connection.scope.get("root_path", ""))
    return json_response(document(routes(with_docs=False), server_url=root_path or "/"))


async def page(call: Call) -> Response:
    """The page. Its links start at the mount, so that they hold with and without a slash at its own end."""
    base = escape(quote(str(call.connection.scope.get("root_path", "")), safe="/&"))
    return Response(asset("docs.html").replace("{base}", base), media_type="text/html", headers=PAGE_HEADERS)


async def script(call: Call) -> Response:  # noqa: ARG001
    """Its script."""
    return _asset("docs.js")


async def style(call: Call) -> Response:  # noqa: ARG001
    """Its style."""
    return _asset("docs.css")


def _asset(name: str) -> Response:
    return Response(asset(name), media_type=TYPES[name], headers=PAGE_HEADERS)


@cache
def asset(name: str) -> str:
    """The text of a bundled file."""
    return files("bodhi_asgi.http").joinpath("assets", name).read_text("utf-8")


def _route(path: str, name: str, summary: str, handler: object, content_type: str) -> Route:
    return Route(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        tag="docs",
        access=Access.ANONYMOUS,
        handler=handler,  # type: ignore[arg-type]
        content_type=content_type,
    )


ROUTES = (
    _route("/openapi.json", "openapi", "The OpenAPI document", openapi, "application/json"),
    _route("/docs", "docs", "The documentation page", page, "text/html"),
    _route("/docs.js", "docs_script", "Its script", script, "text/javascript"),
    _route("/docs.css", "docs_style", "Its style", style, "text/css"),
)
