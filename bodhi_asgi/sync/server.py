"""A server for code that is not asynchronous: its verbs, and how it is started and stopped."""

import asyncio
from typing import TYPE_CHECKING, Any, Self

from bodhi_asgi.forks import FORKS
from bodhi_asgi.sync.facade import SyncBodhi

if TYPE_CHECKING:
    from bodhi_asgi.server import BodhiServer, Health


class SyncBodhiServer(SyncBodhi):
    """``with bodhi_app.sync() as bodhi`` starts the server and stops it. Its verbs act for the host itself.

    Without ``with``, the first verb starts it, and it runs until :meth:`shutdown` or the end of the interpreter. Where
    blocks in several threads overlap, the last one to end stops it. A server that runs on a host's own event loop is
    used there and left running.
    """

    def __init__(self, of: "BodhiServer") -> None:
        super().__init__(of)
        self._server = of
        self._holders = 0
        self._turn = asyncio.Lock()
        FORKS.add(self)

    @property
    def status(self) -> str:
        """``new``, ``starting``, ``ready``, ``draining``, ``stopped`` or ``failed``."""
        return self._server.status

    def start(self) -> Self:
        """Open every service. Idempotent. A model is loaded at its first use.

        Raises ConfigurationInvalid in one human sentence when the configuration cannot work.
        """
        self._wait(self._start)
        return self

    def shutdown(self) -> None:
        """Drain and close everything, whoever else is inside ``with``. Idempotent."""
        self._wait(self._shutdown)

    def health(self) -> "Health":
        """How each part is: ``ok`` or the reason why not. Works before start and while draining too."""
        return self._wait(self._server.health)

    def __enter__(self) -> Self:
        self._wait(self._enter)
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._wait(self._exit)

    def forget(self) -> Any:
        """In a forked child, where nobody is inside ``with``."""
        left, self._turn, self._holders = self._turn, asyncio.Lock(), 0
        return left

    @property
    def _is_elsewhere(self) -> bool:
        home = self._server.lifecycle.loop
        return home is not None and home is not asyncio.get_running_loop()

    async def _start(self) -> None:
        async with self._turn:
            if self._is_elsewhere:
                await self._server.lifecycle.ensure_started()
            else:
                await self._server.start()

    async def _shutdown(self) -> None:
        async with self._turn:
            if not self._is_elsewhere:
                await self._server.shutdown()

    async def _enter(self) -> None:
        await self._start()
        self._holders += 1

    async def _exit(self) -> None:
        self._holders = max(0, self._holders - 1)
        if self._holders == 0:
            await self._shutdown()
