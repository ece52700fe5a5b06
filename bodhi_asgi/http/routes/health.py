"""Whether the server lives, is ready, and how its parts are; what it counts; what it is."""

from starlette.responses import Response

from bodhi_asgi import __version__
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.errors import BodhiError, Kind
from bodhi_asgi.formats.management.info import AppInfo, HealthShape, PingResponse
from bodhi_asgi.http.errors import json_response
from bodhi_asgi.http.route import Access, Call, Route
from bodhi_asgi.metrics.prometheus import CONTENT_TYPE, render


async def ping(call: Call) -> Response:  # noqa: ARG001
    """The server answers."""
    return json_response(PingResponse().model_dump())


async def live(call: Call) -> Response:  # noqa: ARG001
    """The event loop turns; nothing else is asked."""
    return json_response(HealthShape(status="ok").model_dump(exclude_none=True))


async def ready(call: Call) -> Response:
    """Whether requests can be served now: 200, or 503."""
    health = await call.server.health()
    body = HealthShape(status=health.status).model_dump(exclude_none=True)
    return json_response(body, status=200 if health.status == "ok" else 503)


async def health(call: Call) -> Response:
    """One word for everybody; the parts for callers who may know them."""
    state = await call.server.health()
    caller = await _known(call)
    parts = dict(state.parts) if caller is not None and Scope.HEALTH_READ in caller.scopes else None
    body = HealthShape(status=state.status, parts=parts).model_dump(exclude_none=True)
    return json_response(body, status=503 if state.status == "unavailable" else 200)


async def info(call: Call) -> Response:
    """What this application is; version and address for callers only."""
    shape = AppInfo()
    if await _known(call) is not None:
        url = call.server.config.public_url or str(call.connection.scope.get("root_path", "")) or "/"
        shape = AppInfo(version=__version__, commit_sha="unknown", url=url)
    return json_response(shape.model_dump(exclude_none=True))


async def metrics(call: Call) -> Response:
    """The meters as Prometheus reads them."""
    meters = call.services.meters
    engines = await call.services.engines.stats()
    meters.engine_running.clear()
    meters.engine_waiting.clear()
    for model, stats in engines.items():
        meters.engine_running.set(stats.running, model=model)
        meters.engine_waiting.set(stats.waiting, model=model)
    return Response(render(meters), media_type=CONTENT_TYPE)


async def _known(call: Call) -> Caller | None:
    """Who asks, on a route that is open to all; invalid credentials count as none."""
    if call.server.status not in ("ready", "draining"):
        return None
    try:
        return await call.services.gate.caller_of(call.connection.scope)
    except BodhiError:
        return None


def _open(path: str, name: str, summary: str, handler: object, response: type, **more: object) -> Route:
    return Route(
        method="GET",
        path=path,
        name=name,
        summary=summary,
        tag="health",
        access=Access.ANONYMOUS,
        handler=handler,  # type: ignore[arg-type]
        response=response,
        **more,  # type: ignore[arg-type]
    )


DOWN = frozenset({Kind.UNAVAILABLE})

ROUTES = (
    _open("/ping", "ping", "Answer", ping, PingResponse),
    _open("/health", "health", "How the server is", health, HealthShape, errors=DOWN),
    _open("/health/live", "live", "Whether the server lives", live, HealthShape),
    _open("/health/ready", "ready", "Whether the server can serve", ready, HealthShape, errors=DOWN),
    _open("/bodhi/v1/info", "info", "What this application is", info, AppInfo),
    Route(
        method="GET",
        path="/metrics",
        name="metrics",
        summary="Meters for Prometheus",
        tag="health",
        access=Scope.METRICS_READ,
        handler=metrics,
        content_type="text/plain",
        errors=DOWN,
    ),
)
