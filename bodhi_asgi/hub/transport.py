"""Requests to the hub and to where it sends us: the token stays with the endpoint, and no redirect leads inwards.

A hub answers for large files with a redirect to a content network, with what counts about the file in headers beside.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final
from urllib.parse import urljoin, urlsplit

import httpx2

from bodhi_asgi import outbound
from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubOffline, HubUnreachable, ProxyRefused, RedirectRefused
from bodhi_asgi.hub.refusals import Passing
from bodhi_asgi.outbound import AddressRefused, IPAddress, Kind, kind_of, written

MAX_HOPS: Final = 5
USER_AGENT: Final = "bodhi_asgi"
WANTS_A_USER: Final = 407
PROXY_REFUSES: Final = frozenset({"401", "403", "407"})
TELLING: Final = ("x-repo-commit", "x-linked-etag", "x-linked-size")


class Whereabouts:
    """Which addresses may be visited: the endpoint's, public ones, and private ones if the endpoint is such a one."""

    def __init__(self, host: str) -> None:
        self._host = host
        self._kinds: set[Kind] = set()

    def permits(self, host: str, address: IPAddress) -> bool:
        """Whether a connection may go there; remembers of what kind the endpoint itself is."""
        return self._permits(host, kind_of(address))

    def permits_unseen(self, host: str) -> bool:
        """Whether a proxy may be asked for a host, whose name it is who resolves it: by what is written there."""
        address = written(host)
        if address is not None:
            return self._permits(host, kind_of(address))
        is_here = host.rstrip(".").rpartition(".")[2] == "localhost"
        return self._permits(host, Kind.LOOPBACK if is_here else Kind.GLOBAL)

    def _permits(self, host: str, kind: Kind) -> bool:
        if host == self._host:
            self._kinds.add(kind)
            return True
        return kind is Kind.GLOBAL or kind in self._kinds & {Kind.PRIVATE, Kind.LOOPBACK}


@dataclass(frozen=True, slots=True)
class Answer:
    """The last response of a chain, whose body has not been read, and what those before it told of the file."""

    response: httpx2.Response
    told: Mapping[str, str]
    is_redirected: bool


class HubTransport:
    """One client for all requests of a server to its hub. Belongs to one event loop; close it."""

    def __init__(self, access: HubAccess, clock: Clock | None = None) -> None:
        self.access = access
        self.clock = clock or SystemClock()
        self._whereabouts = Whereabouts(access.host)
        self._client = outbound.client(
            self._whereabouts.permits,
            timeout_s=access.answer_timeout_s,
            user_agent=USER_AGENT,
            proxy=access.proxy,
        )

    async def aclose(self) -> None:
        """Close all connections."""
        await self._client.aclose()

    @asynccontextmanager
    async def asking(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, *, stops_when_told: bool = False
    ) -> AsyncIterator[Answer]:
        """The answer to a request, redirects followed; with ``stops_when_told`` not beyond what tells of the file.

        Raises HubOffline, RedirectRefused, ProxyRefused, and Passing for what may go right the next time, while the
        body is read too.
        """
        if self.access.is_offline:
            raise HubOffline("the hub is not asked, because hub.mode is 'offline'")
        told: dict[str, str] = {}
        try:
            for hop in range(MAX_HOPS + 1):
                response = await self._send(method, url, headers or {})
                try:
                    told = {**{name: response.headers[name] for name in TELLING if name in response.headers}, **told}
                    if not response.has_redirect_location or (stops_when_told and "x-linked-etag" in told):
                        yield Answer(response, told, hop > 0)
                        return
                    url = self._next(url, response.headers["location"])
                finally:
                    await response.aclose()
        except AddressRefused as error:
            raise RedirectRefused(
                f"the hub sends us to '{error.host[:100]}', which is no public address; nothing was sent there"
            ) from None
        except httpx2.ProxyError as error:
            if str(error)[:3] in PROXY_REFUSES:
                raise proxy_refused(int(str(error)[:3])) from None
            raise Passing(HubUnreachable("the proxy in hub.proxy does not reach the hub")) from error
        except (httpx2.TransportError, httpx2.StreamError) as error:
            raise Passing(HubUnreachable(f"the hub cannot be reached: {_reason(error)}")) from error
        raise RedirectRefused(f"the hub redirects more than {MAX_HOPS} times")

    async def _send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        host = urlsplit(url).hostname or ""
        if self.access.proxy is not None and not self._whereabouts.permits_unseen(host):
            raise AddressRefused(host)
        token = self.access.token_for(url)
        bearing = {} if token is None else {"Authorization": f"Bearer {token.reveal()}"}
        waiting = self.access.stall_timeout_s if method == "GET" else self.access.answer_timeout_s
        timeout = httpx2.Timeout(self.access.answer_timeout_s, read=waiting)
        request = self._client.build_request(method, url, headers={**headers, **bearing}, timeout=timeout)
        try:
            async with asyncio.timeout(self.access.answer_timeout_s + waiting):  # for all headers, however they drip
                response = await self._client.send(request, stream=True)
        except TimeoutError:
            raise httpx2.ReadTimeout("the headers did not come in time") from None
        if response.status_code == WANTS_A_USER and self.access.proxy is not None:
            await response.aclose()
            raise proxy_refused(response.status_code)
        return response

    def _next(self, url: str, location: str) -> str:
        try:
            there = urljoin(url, location)
            parts = urlsplit(there)
            _ = parts.port
        except ValueError:
            raise RedirectRefused("the hub redirects to what is no address") from None
        if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc:
            raise RedirectRefused("the hub redirects to what is no address of the web")
        if self.access.is_encrypted and parts.scheme != "https":
            raise RedirectRefused(f"the hub redirects to '{parts.hostname[:100]}' without encryption")
        return there


def proxy_refused(status: int) -> ProxyRefused:
    """The proxy lets nobody through, or not with these credentials."""
    if status == WANTS_A_USER:
        return ProxyRefused("the proxy in hub.proxy wants a user and a password, as in http://user:password@host:port")
    return ProxyRefused(f"the proxy in hub.proxy refuses connections to the hub with status {status}")


def _reason(error: Exception) -> str:
    """In words, without addresses, which may be signed."""
    if isinstance(error, httpx2.ConnectTimeout | httpx2.ReadTimeout | httpx2.WriteTimeout):
        return "it did not answer in time"
    if isinstance(error, httpx2.ConnectError):
        return "no connection"
    return "the connection broke"
