"""Which names we answer to where the socket is ours: a page that rebinds its own name to this machine is refused."""

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.errors import Forbidden


class HostRefused(Forbidden):
    """The request names a host that this server is not."""

    code = "host_refused"


class HostGuard:
    """Accepts requests whose Host is one of ``names``; ports do not matter."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower() for name in names)

    @classmethod
    def for_bind(cls, host: str, public_url: str | None) -> "HostGuard | None":
        """The guard for a listener: loopback names on a loopback address; none where the world is let in anyway."""
        if not is_loopback(host):
            return None
        public = [urlsplit(public_url).hostname or ""] if public_url else []
        return cls(["localhost", "127.0.0.1", "::1", host, *public])

    def check(self, connection: Connection) -> None:
        """Raise HostRefused for a foreign or malformed Host."""
        host = connection.headers.get("host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if name.lower() not in self._names:
            raise HostRefused("this server does not answer to that host name", param="host")


def is_loopback(host: str) -> bool:
    """Whether a bind address is this machine only."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
