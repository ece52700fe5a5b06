"""The gate: one function from a connection to a caller, for every door and every way a credential can come."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final

from bodhi_asgi.auth import identity as identities
from bodhi_asgi.auth.connection import Connection
from bodhi_asgi.auth.credentials import credential
from bodhi_asgi.auth.errors import CredentialsMissing, IdentityNotConfigured, TooManyFailures
from bodhi_asgi.auth.identity import Identity
from bodhi_asgi.caller import Caller
from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import Unauthenticated
from bodhi_asgi.metrics.meters import Meters
from bodhi_asgi.tokens.errors import TokenInvalid
from bodhi_asgi.tokens.format import START
from bodhi_asgi.tokens.service import TokenService

HOW_TO_GET_IN: Final = (
    "say who you are with an API token ('bodhi token create' makes one) in 'Authorization: Bearer …', "
    "or give BodhiApp an identity= callback that names your host's user"
)


class Gate:
    """Establishes callers. What it cannot establish is refused; there is no anonymous caller."""

    def __init__(self, *, tokens: TokenService, identity: Identity | None, meters: Meters, clock: Clock) -> None:
        self._tokens = tokens
        self._identity = identities.callback_of(identity)
        self._meters = meters
        self._failures = FailureLimit(clock)

    async def caller_of(self, scope: Mapping[str, Any]) -> Caller:
        """Who asks, by the credentials in an ASGI scope.

        An API token speaks for itself, whatever session comes with it. Raises Unauthenticated (CredentialsMissing,
        TokenInvalid, …), CrossSiteRefused, IdentityFailed, TooManyFailures.
        """
        connection = Connection(scope)
        try:
            caller = await self._establish(connection)
        except CredentialsMissing:
            raise
        except Unauthenticated:
            self._failures.count(connection.source)
            raise
        self._meters.identities.inc(1, kind=str(caller.kind))
        return caller

    async def _establish(self, connection: Connection) -> Caller:
        presented = credential(connection)
        if presented is not None and (presented.reveal().startswith(START) or self._identity is None):
            return await self._tokens.verify(presented.reveal())
        if self._identity is None:
            raise IdentityNotConfigured(HOW_TO_GET_IN)
        caller = await identities.ask(self._identity, connection)
        if caller is not None:
            # A bearer credential is sent on purpose; a session comes along by itself.
            if presented is None:
                identities.refuse_cross_site(connection)
            return caller
        if presented is not None:
            raise TokenInvalid("the credential is not valid")
        raise CredentialsMissing(f"nobody is logged in; {HOW_TO_GET_IN}")


class FailureLimit:
    """Counts failures by source and nothing else: a valid credential is never locked out."""

    LIMIT: Final = 20
    WINDOW_S: Final = 60.0
    SOURCES: Final = 10_000

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows: OrderedDict[str, tuple[float, int]] = OrderedDict()

    def count(self, source: str) -> None:
        """Note a failure. Raises TooManyFailures beyond the limit."""
        now = self._clock.monotonic()
        began, failures = self._windows.pop(source, (now, 0))
        if now - began >= self.WINDOW_S:
            began, failures = now, 0
        self._windows[source] = (began, failures + 1)
        while len(self._windows) > self.SOURCES:
            self._windows.popitem(last=False)
        if failures >= self.LIMIT:
            wait_s = self.WINDOW_S - (now - began)
            raise TooManyFailures("too many invalid credentials from this address", retry_after_s=wait_s)
