"""What every check is given, and how one that blocks is run: in a thread that nobody has to wait for."""

import asyncio
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from bodhi_asgi.doctor.types import Finding
from bodhi_asgi.settings.schema import BodhiServerConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Case:
    """The settings to be examined, or the error that reading them raised, and what was asked for.

    ``model`` is the one whose engine is started (unset: the demo model, or the first). ``time_limit_s`` holds for each
    check; the engine's start has its own, the setting ``engine.start_timeout_s``, on top.
    """

    settings: BodhiServerConfig | None
    settings_error: Exception | None = None
    model: str | None = None
    with_engine: bool = True
    time_limit_s: float = 15.0

    @property
    def config(self) -> BodhiServerConfig:
        """The settings, for checks that are not made without them."""
        assert self.settings is not None, "checks that need settings are skipped when there are none"
        return self.settings


Examine = Callable[[Case], Awaitable[list[Finding]]]


def blocking(examine: Callable[[Case], list[Finding]]) -> Examine:
    """A check that reads the file system or asks the kernel, as one that can be given up.

    A file system that hangs never lets go of its thread. A daemon thread of our own does not hold up the end of the
    process then, as those of the event loop's executor would.
    """

    async def run(case: Case) -> list[Finding]:
        return await in_thread(lambda: examine(case))

    return run


async def in_thread(work: Callable[[], T]) -> T:
    """What ``work`` returns or raises, computed in a daemon thread. Cancelling leaves the thread to itself."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if result.done():
            return
        if error is not None:
            result.set_exception(error)
        else:
            result.set_result(value)  # type: ignore[arg-type]  # None is a T then

    def run() -> None:
        value: T | None = None
        error: Exception | None = None
        try:
            value = work()
        except Exception as raised:
            error = raised
        with suppress(RuntimeError):  # the loop has ended, and nobody waits any more
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=run, name="bodhi-doctor", daemon=True).start()
    return await result
