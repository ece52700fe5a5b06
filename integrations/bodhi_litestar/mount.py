"""Our application as one of Litestar's mounts, its address repaired.

Litestar cuts the prefix off the path, adds a slash, says nothing of it in ``root_path``, and takes ``/bodhix`` for a
part of ``/bodhi``. The path as it came is still in ``raw_path``.
"""

from typing import Any
from urllib.parse import unquote

from litestar import asgi
from litestar.exceptions import NotFoundException
from litestar.handlers import ASGIRouteHandler
from litestar.types import Receive, Scope, Send

from bodhi_asgi import BodhiApp


def bodhi_mount(bodhi: BodhiApp, path: str = "/bodhi", *, below: str = "") -> ASGIRouteHandler:
    """``bodhi`` as a route handler for ``Litestar(route_handlers=[…])``, without its lifespan.

    ``below`` is where the router hangs that it is given to, when that is not the root.
    """
    mount = below.rstrip("/") + path.rstrip("/")

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        inside: Any = repaired(scope, mount)
        await bodhi(inside, receive, send)  # type: ignore[arg-type]

    return asgi(path, name="bodhi", is_mount=True, copy_scope=True)(serve)


def repaired(scope: Any, mount: str) -> dict[str, Any]:
    """``scope`` with the path as it came and ``mount`` in its ``root_path``. Raises NotFoundException outside of it."""
    outer = scope.get("root_path", "")
    root_path = outer + mount
    raw = unquote(scope.get("raw_path", b"").partition(b"?")[0].decode("latin-1"))
    below = root_path if raw == root_path or raw.startswith(f"{root_path}/") else mount
    # Without raw_path, or in a host that has rewritten the path, Litestar's own is what there is.
    rest = raw.removeprefix(below) if raw.startswith(below) else scope["path"].rstrip("/")
    if rest and not rest.startswith("/"):
        raise NotFoundException
    return {**scope, "app_root_path": outer, "root_path": root_path, "path": root_path + rest}
