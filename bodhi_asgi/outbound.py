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

from bodhi_asgi.connections import Block, Connection, Trust, connected
from bodhi_asgi.types import Secret

IPAddress: TypeAlias = IPv4Address | IPv6Address
Permits: TypeAlias = Callable[[str, IPAddress], bool]

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
    trust = Trust(ssl.PROTOCOL_TLS_CLIENT)
    transport = httpx2.AsyncHTTPTransport(verify=trust, trust_env=False, retries=0, proxy=address)
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
                return await connected(str(address), port, timeout, local_address, socket_options or ())
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Body:
    """The body of an answer, received in blocks: straight from the connection where nothing but its length frames it.

    Close it.
    """

    def __init__(self, response: httpx2.Response) -> None:
        self._pieces = response.aiter_raw()
        self._rest = memoryview(b"")
        self._timeout_s: float | None = response.request.extensions["timeout"]["read"]
        stream = response.extensions.get("network_stream")
        length = response.headers.get("content-length", "")
        is_plain = "transfer-encoding" not in response.headers and length.isascii() and length.isdigit()
        self._connection = stream if is_plain and isinstance(stream, Connection) else None
        self._missing = int(length) if self._connection is not None else 0
        self._has_begun = False

    async def aclose(self) -> None:
        """Leave the rest."""
        await self._pieces.aclose()

    async def receive(self, block: Block, within_s: float) -> None:
        """Fill the empty ``block``, or put into it what comes in ``within_s`` seconds; nothing in it is the end.

        Raises httpx2.TransportError. Cancelled or failing, it leaves in the block what has come.
        """
        if self._connection is None:
            await self._collect(block, within_s)
            return
        block.narrow(self._missing)
        try:
            if not self._has_begun:
                # The client has read a beginning together with the headers, and keeps nothing else.
                self._has_begun = True
                self._rest = memoryview(await anext(self._pieces, b""))
            self._rest = self._rest[block.put(self._rest) :]
            if not block.is_full:
                await self._receive(self._connection, block, within_s)
        finally:
            self._missing -= block.filled

    async def _receive(self, connection: Connection, block: Block, within_s: float) -> None:
        try:
            await connection.receive(block, within_s, self._timeout_s)
        except httpcore2.ReadTimeout as error:
            raise httpx2.ReadTimeout(str(error)) from error
        except httpcore2.ReadError as error:
            raise httpx2.ReadError(str(error)) from error
        if not block.filled:
            raise httpx2.RemoteProtocolError("the body ended before its end")

    async def _collect(self, block: Block, within_s: float) -> None:
        clock = asyncio.get_running_loop().time
        began = clock()
        self._rest = self._rest[block.put(self._rest) :]
        while not block.is_full and clock() - began < within_s:
            self._rest = memoryview(await anext(self._pieces, b""))
            if not self._rest:
                return
            self._rest = self._rest[block.put(self._rest) :]


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
