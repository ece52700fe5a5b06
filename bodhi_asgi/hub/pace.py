"""Whether a body comes fast enough to be worth its connection: one that drips for ever would hold its place for days.

It is what curl means by ``--speed-limit`` and ``--speed-time``, and Git by ``http.lowSpeedLimit``
(https://curl.se/docs/manpage.html#-Y): slower than a limit, for as long as it might stand still.
"""

from typing import Final

from bodhi_asgi.clock import Clock
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubUnreachable
from bodhi_asgi.hub.refusals import Passing

ANY: Final = 1
"""Bytes that are worth a connection where nothing is too slow."""


class Pace:
    """Counts what one connection brings, in spans of ``hub.stall_timeout_s``, while somebody waits for it.

    Time that our own disk takes is not the hub's, and is not counted.
    """

    def __init__(self, access: HubAccess, clock: Clock) -> None:
        self._limit = access.low_speed_limit
        self._span_s = access.stall_timeout_s
        self._clock = clock
        self._bytes = 0
        self._waited_s = 0.0
        self._since = 0.0
        self.worth = ANY
        """Bytes from which on a connection has been worth its while: those of its last, slow span are not."""

    def wait(self) -> None:
        """Somebody begins to wait for more."""
        self._since = self._clock.monotonic()

    def came(self, bytes_: int) -> None:
        """Raises Passing when so little has come in all of a span."""
        self._bytes += bytes_
        self._waited_s += self._clock.monotonic() - self._since
        if self._waited_s < self._span_s:
            return
        if self._bytes < self._limit * self._waited_s:
            self.worth = self._bytes + 1
            raise Passing(
                HubUnreachable(f"the hub sends less than {self._limit:,} bytes a second; see hub.low_speed_limit")
            )
        self._bytes, self._waited_s = 0, 0.0
