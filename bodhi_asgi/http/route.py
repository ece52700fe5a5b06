"""One row of the route table, and what a handler is given."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeAlias, TypeVar

from pydantic import BaseModel
from starlette.responses import Response

from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.caller import Caller, Scope
from bodhi_asgi.errors import Kind
from bodhi_asgi.http.stream import EventStream
from bodhi_asgi.server import BodhiServer
from bodhi_asgi.services import Services
from bodhi_asgi.types import JSONObject
from bodhi_asgi.wire.limits import RequestLimits

T = TypeVar("T")


class Access(StrEnum):
    """Who may use a route, where no single permission says it."""

    ANONYMOUS = "anonymous"
    AUTHENTICATED = "authenticated"


class Dialect(StrEnum):
    """Whose words a route speaks, errors included."""

    OPENAI = "openai"
    MANAGEMENT = "management"


@dataclass(frozen=True, slots=True)
class Call:
    """One request at its handler. ``caller`` is there wherever the route's access rule demands one."""

    server: BodhiServer
    connection: Connection
    path: Mapping[str, str]
    query: Mapping[str, str]
    body: bytes
    request_id: str
    known_caller: Caller | None

    @property
    def services(self) -> Services:
        return self.server.services

    @property
    def caller(self) -> Caller:
        assert self.known_caller is not None, "the route's access rule demands a caller"
        return self.known_caller

    async def json(self) -> JSONObject:
        """The body as a strict JSON object; a long one is read beside the event loop. Raises JSONInvalid."""
        return await self.services.desk.load(self.body)

    async def asked(self, decode: Callable[[JSONObject, RequestLimits], T]) -> T:
        """The body as ``decode`` reads it within the limits. Raises JSONInvalid, and what it raises."""
        return await self.services.desk.decode(lambda body: decode(body, self.services.limits), await self.json())


Handler: TypeAlias = Callable[[Call], Awaitable[Response | EventStream]]


@dataclass(frozen=True, slots=True)
class Route:
    """Everything that is to be known of one operation: the routes, OpenAPI and the permission tests are made of it.

    ``errors`` are the kinds it can answer beyond those that every route can, ``or_status`` is the status of another way
    to succeed. Without a ``content_type``, success has no body.
    """

    method: str
    path: str
    name: str
    summary: str
    tag: str
    access: Access | Scope
    handler: Handler
    dialect: Dialect = Dialect.MANAGEMENT
    request: type[BaseModel] | None = None
    response: type[BaseModel] | None = None
    content_type: str = "application/json"
    status: int = 200
    or_status: int | None = None
    streams: bool = False
    errors: frozenset[Kind] = frozenset()
    query: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @property
    def reads_body(self) -> bool:
        return self.request is not None
