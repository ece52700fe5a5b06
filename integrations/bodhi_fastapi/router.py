"""Our routes as FastAPI's own: in the host's one document, and behind the dependencies it includes them with.

FastAPI finds the route, solves what the host depends on, and hands the request on as it came; reading the body, who
may do what, and every answer stay ours, so nothing behaves otherwise than when mounted.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from fastapi import APIRouter, Request, Response, Security
from fastapi.security import HTTPBearer
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from bodhi_asgi import BodhiApp
from bodhi_fastapi.openapi import inlined

API_TOKEN: Final = HTTPBearer(auto_error=False, scheme_name="bodhi", description="An API token: `bodhi token create`.")
"""Shown in the document; bodhi itself asks for it, or for the host's own user."""


def router_of(bodhi: BodhiApp, **options: Any) -> APIRouter:
    """Every route of ``bodhi`` as a route of FastAPI, and its lifespan.

    ``app.include_router(router_of(bodhi), prefix="/bodhi", dependencies=[Depends(login)])``. ``options`` are those of
    ``APIRouter``. Who the user is bodhi learns by ``identity=`` all the same. Views reach the verbs where the server
    runs lifespans; for others add ``BodhiStateMiddleware``.
    """
    router = APIRouter(lifespan=bodhi.lifespan, **{"tags": ["bodhi"], **options})
    document: Any = bodhi.openapi()
    shapes = document["components"]["schemas"]
    operations = {
        operation["operationId"]: operation for methods in document["paths"].values() for operation in methods.values()
    }
    for route in bodhi.routes:
        if isinstance(route, Route) and route.name in operations:
            _add(router, bodhi, route, inlined(operations[route.name], shapes))
    return router


def _add(router: APIRouter, bodhi: BodhiApp, route: Route, operation: Mapping[str, Any]) -> None:
    is_open = not operation["security"]
    said = {"parameters", "requestBody", "responses"}
    router.add_api_route(
        route.path,
        _handing_on(bodhi, route),
        methods=sorted((route.methods or set()) - {"HEAD"}),
        name=f"bodhi:{route.name}",
        operation_id=f"bodhi_{route.name}",
        summary=operation["summary"],
        description=operation["description"],
        status_code=min(int(status) for status in operation["responses"]),
        response_class=Response,
        response_model=None,
        dependencies=[] if is_open else [Security(API_TOKEN)],
        openapi_extra={key: entry for key, entry in operation.items() if key in said},
    )


def _handing_on(bodhi: BodhiApp, route: Route) -> Callable[[Request], Awaitable[Response]]:
    async def hand_on(request: Request) -> Response:
        ours = {name: value for name, value in request.path_params.items() if name in route.param_convertors}
        return HandedOn(bodhi, str(route.url_path_for(route.name, **ours)), request.scope)

    return hand_on


class HandedOn(Response):
    """The answer of ``bodhi`` to what stands below the prefix of its router."""

    def __init__(self, bodhi: BodhiApp, path: str, scope: Scope) -> None:
        super().__init__()
        self._bodhi = bodhi
        root_path = scope.get("root_path", "")
        prefix = scope["path"].removeprefix(root_path).removesuffix(path)
        below = root_path + prefix
        self._changes = {"app_root_path": root_path, "root_path": below, "path": below + path}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._bodhi({**scope, **self._changes}, receive, send)
