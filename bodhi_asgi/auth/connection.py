"""What an identity callback sees of a request: the ASGI scope, read conveniently, without any framework.

The names are those of Starlette's ``HTTPConnection``, which can be made of ``scope`` where more is wanted.
"""

from collections.abc import Mapping
from functools import cached_property
from http.cookies import CookieError, SimpleCookie
from types import MappingProxyType
from typing import Any


class Connection:
    """One HTTP request before its body."""

    def __init__(self, scope: Mapping[str, Any]) -> None:
        self.scope = scope

    @cached_property
    def headers(self) -> Mapping[str, str]:
        """Headers by lower-case name; of repeated ones the last."""
        pairs = self.scope.get("headers") or ()
        return MappingProxyType({name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs})

    def header_values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        wanted = name.encode("latin-1")
        return [value.decode("latin-1") for key, value in self.scope.get("headers") or () if key.lower() == wanted]

    @cached_property
    def cookies(self) -> Mapping[str, str]:
        """Cookies by name; none when the header cannot be read."""
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(self.headers.get("cookie", ""))
        except CookieError:
            return MappingProxyType({})
        return MappingProxyType({name: morsel.value for name, morsel in jar.items()})

    @property
    def method(self) -> str:
        return str(self.scope.get("method", "GET"))

    @property
    def user(self) -> Any:
        """What the host's authentication put into the scope, or None."""
        return self.scope.get("user")

    @property
    def session(self) -> Mapping[str, Any]:
        """The host's session as its own middleware opened it; empty without one."""
        session: Mapping[str, Any] = self.scope.get("session") or {}
        return session

    @property
    def source(self) -> str:
        """The peer's address, for counting failures; never a proof of anything."""
        client = self.scope.get("client")
        return str(client[0]) if client else ""
