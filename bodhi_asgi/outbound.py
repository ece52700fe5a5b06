"""Connections to other machines, opened in this one place: to addresses that were looked at, and to no others.

A name is resolved here, each address is asked about, and the connection goes to that very address. So a name that means
something else a moment later leads nowhere. Redirects are followed by whoever knows what they may mean.
"""

import asyncio
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final, TypeAlias

import httpcore2
import httpx2

from bodhi_asgi.types import Secret

IPAddress: TypeAlias = IPv4Address | IPv6Address
Permits: TypeAlias = Callable[[str, IPAddress], bool]

READ_BYTES: Final = 256 * 1024
NAT64: Final = ip_network("64:ff9b::/96")
NUMBERS: Final = re.compile(r"[0-9a-fA-FxX.]+")
UNICAST_GLOBAL_IPV6: Final = ip_network("2000::/3")


class Kind(Enum):
    """Where an address leads."""

    GLOBAL = "global"
    PRIVATE = "private"
    LOOPBACK = "loopback"
    OTHER = "other"  # link-local, multicast, shared, reserved, unspecified


class AddressRefused(Exception):
    """A host has no address that may be visited."""

    def __init__(self, host: str) -> None:
        super().__init__(host)
        self.host = host


def kind_of(address: IPAddress) -> Kind:
    """The kind of an address; one that wraps an IPv4 address counts as that."""
    address = _unwrapped(address)
    if address.is_loopback:
        return Kind.LOOPBACK
    if address.is_link_local or address.is_multicast or address.is_reserved or address.is_unspecified:
        return Kind.OTHER
    if address.is_global and (address.version == 4 or address in UNICAST_GLOBAL_IPV6):
        return Kind.GLOBAL
    return Kind.PRIVATE if address.is_private else Kind.OTHER


def written(host: str) -> IPAddress | None:
    """The address that ``host`` is, in any of the ways in which systems read numbers as one; None for a name."""
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        pass
    if NUMBERS.fullmatch(host) is None:
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def _unwrapped(address: IPAddress) -> IPAddress:
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour or address


def client(permits: Permits, *, timeout_s: float, user_agent: str, proxy: Secret | None = None) -> httpx2.AsyncClient:
    """A client that connects only where ``permits`` says so of a host and an address, and follows no redirects.

    It takes nothing from the environment: no proxy, no credentials. A refused host raises :class:`AddressRefused`.
    With a ``proxy`` there are connections to that alone, and it resolves the names: whoever asks looks at them before.
    """
    address = None if proxy is None else proxy.reveal()
    transport = httpx2.AsyncHTTPTransport(trust_env=False, retries=0, proxy=address)
    guard = GuardedBackend(permits if address is None else _only(httpx2.URL(address).host))
    transport._pool._network_backend = guard  # there is no public way to say this
    return httpx2.AsyncClient(
        transport=transport,
        timeout=timeout_s,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": user_agent, "Accept-Encoding": "identity"},
    )


def client_over(
    transport: httpx2.AsyncBaseTransport, *, base_url: str, headers: Mapping[str, str] | None = None
) -> httpx2.AsyncClient:
    """A client whose requests go to ``transport`` and nowhere else. It takes nothing from the environment."""
    return httpx2.AsyncClient(transport=transport, base_url=base_url, headers=headers, timeout=None, trust_env=False)


def _only(relay: str) -> Permits:
    """Connections to one host, which was configured."""
    return lambda host, _: host == relay


class GuardedBackend(httpcore2.AsyncNetworkBackend):
    """Connects to addresses that were looked at."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._network = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        failure: Exception = AddressRefused(host)
        for address in await _resolve(host, port, timeout):
            if not self._permits(host, address):
                continue
            try:
                return WideStream(
                    await self._network.connect_tcp(str(address), port, timeout, local_address, socket_options)
                )
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)


class WideStream(httpcore2.AsyncNetworkStream):
    """A connection that is read in pieces as large as the system has them: most of a download's cost is per piece."""

    def __init__(self, stream: httpcore2.AsyncNetworkStream) -> None:
        self._stream = stream

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return await self._stream.read(max(max_bytes, READ_BYTES), timeout)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        return WideStream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


async def _resolve(host: str, port: int, timeout_s: float | None) -> Sequence[IPAddress]:
    try:
        return [ip_address(host)]
    except ValueError:
        pass
    try:
        async with asyncio.timeout(timeout_s):
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(f"{host} was not resolved in time") from error
    except (OSError, UnicodeError) as error:
        raise httpcore2.ConnectError(f"{host} cannot be resolved") from error
    return list(dict.fromkeys(ip_address(entry[4][0]) for entry in found))
