"""How long an engine process stays, and why it goes: its hosts are gone, its keep-alive is over, or it is told to."""

import asyncio

from bodhi_asgi.engine.occupancy import Occupancy
from bodhi_asgi.engine.types import UnloadReason


class Stay:
    """Its end is decided once, with an exit code and a reason; :attr:`over` is done then."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.over: asyncio.Future[int] = self._loop.create_future()
        self.reason: UnloadReason = "ended"
        self.code = 0
        """The exit code when it goes because nobody is left."""
        self._linger: asyncio.TimerHandle | None = None
        self._keep_alive: asyncio.TimerHandle | None = None

    @property
    def is_over(self) -> bool:
        return self.over.done()

    def end(self, code: int = 0, reason: UnloadReason = "ended") -> None:
        """Leave now; a decision that was made before holds."""
        if not self.is_over:
            self.reason = reason
            self.over.set_result(code)

    def linger(self, seconds: float) -> None:
        """Nobody is here: leave after so many seconds, unless somebody comes."""
        self._linger = self._loop.call_later(seconds, lambda: self.end(self.code))

    def somebody_came(self) -> None:
        """Stay on."""
        if self._linger is not None:
            self._linger.cancel()

    def rest(self, occupancy: Occupancy) -> None:
        """There is no work: leave when the model's keep-alive is over, unless there is work by then."""
        if self._keep_alive is not None:
            self._keep_alive.cancel()
            self._keep_alive = None
        if occupancy.expires_at is None:
            return
        if occupancy.expires_at <= self._loop.time():
            self.end(0, "idle")
        else:
            self._keep_alive = self._loop.call_at(occupancy.expires_at, self.rest, occupancy)
