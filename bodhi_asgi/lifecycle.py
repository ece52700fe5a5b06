"""How something with services starts and stops inside an event loop that belongs to somebody else.

Services are entered and left inside one owner task: a task group must be left by the task that entered it, the first
requester may go away without taking the start with it, and nothing of its context variables leaks into what lives
longer. Starts and stops are leases on that task. Nothing here knows what is started.
"""

import asyncio
import contextvars
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, AsyncExitStack, asynccontextmanager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from bodhi_asgi.clock import Clock
from bodhi_asgi.errors import BodhiError, NotStarted, ShuttingDown
from bodhi_asgi.forks import FORKS

log = logging.getLogger(__name__)

T = TypeVar("T")
R = TypeVar("R")

Status: TypeAlias = Literal["new", "starting", "ready", "draining", "stopped", "failed"]

COOL_DOWN_S: Final = 5.0
"""Seconds after a failed lazy start before the next one is tried; until then everybody gets the same error at once."""

OWNER_TASK: Final = "bodhi-owner"
"""The name of the task that has opened the value; to cancel it closes the value at once."""

UNFINISHED: Final = "the server is shutting down; the stream is not complete"

DRAIN_S: Final = 5.0
"""Seconds that closing waits for what is still in use, before it closes the value under it."""


@dataclass(eq=False)
class _Run(Generic[T]):
    """One start of the services, up to its stop, on one event loop."""

    loop: asyncio.AbstractEventLoop
    ready: "asyncio.Future[T]"
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    drain: asyncio.Event = field(default_factory=asyncio.Event)
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    streams: set[asyncio.Timeout] = field(default_factory=set)
    """What waits for the next piece of a stream."""
    leases: int = 0
    uses: int = 0
    is_lazy: bool = False
    owner: "asyncio.Task[None] | None" = None

    def begin_drain(self) -> None:
        """Say that streams should end, and wake those that wait."""
        if not self.drain.is_set():
            self.drain.set()
            for waiting in self.streams:
                waiting.reschedule(self.loop.time())


class Lifecycle(Generic[T]):
    """Opens a value on the first lease and closes it with the last; can be used again afterwards.

    ``open_value`` receives an exit stack that is closed in reverse order inside the task that filled it. Closing waits
    ``drain_s`` seconds for what is in use.
    """

    def __init__(
        self, open_value: Callable[[AsyncExitStack], Awaitable[T]], *, clock: Clock, drain_s: float = DRAIN_S
    ) -> None:
        self._open_value = open_value
        self._clock = clock
        self._drain_s = drain_s
        self._run: _Run[T] | None = None
        self._status: Status = "new"
        self._failure: BaseException | None = None
        self._retry_at_s = 0.0
        self.while_streaming: AbstractContextManager[None] = nullcontext()
        """Entered for each wait of a stream, several at once too: who would see that they should end."""
        FORKS.add(self)

    @property
    def status(self) -> Status:
        """Where in its life the value is. A run whose event loop is gone counts as stopped."""
        if self._run is not None and self._run.loop.is_closed():
            return "stopped"
        return self._status

    @property
    def value(self) -> T:
        """The open value. Raises NotStarted when there is none."""
        run = self._run
        if run is None or self.status not in ("ready", "draining") or not run.ready.done():
            raise NotStarted(f"the server is {self.status}; start it first, or compose its lifespan with the host's")
        return run.ready.result()

    @property
    def draining(self) -> bool:
        """Whether streams should come to their end."""
        return self.status in ("draining", "stopped")

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop the value lives on, while there is one."""
        return self._run.loop if self._run is not None and not self._run.loop.is_closed() else None

    @property
    def leases(self) -> int:
        """How many hold the value open."""
        return self._run.leases if self._run is not None else 0

    @asynccontextmanager
    async def lease(self) -> AsyncIterator[T]:
        """Hold the value open. The last lease to end closes it, waiting until it is closed."""
        run = self._current_run()
        run.leases += 1
        try:
            yield await self._opened(run)
        finally:
            run.leases -= 1
            if run.leases == 0 and not run.is_lazy:
                await self._close(run)

    async def ensure_started(self) -> T:
        """The value, opened if nobody has. What is opened this way stays open until :meth:`aclose`.

        After a failure the same error is raised at once until the cool-down has passed. On another live event loop than
        the value's own, waits for it there.
        """
        run = self._run
        loop = asyncio.get_running_loop()
        if run is not None and not run.loop.is_closed() and run.loop is not loop:
            if not run.loop.is_running():
                raise NotStarted("the event loop that the server was started on has stopped without closing it")
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self.ensure_started(), run.loop))
        if self.status == "failed" and self._failure is not None and self._clock.monotonic() < self._retry_at_s:
            raise self._failure.with_traceback(None)  # one error, raised again and again, would collect every stack
        run = self._current_run()
        if run.leases == 0:
            run.is_lazy = True
        return await self._opened(run)

    async def run(self, use: Callable[[T], Awaitable[R]], *, start: bool = True) -> R:
        """Await ``use(value)`` on the value's own event loop, opening it first if needed.

        Without ``start``, for what goes on with something begun earlier, raises NotStarted where nothing is open.
        """
        value = await self.ensure_started() if start else self.value
        home = self.loop
        if home is None or home is asyncio.get_running_loop():
            with self.in_use():
                return await use(value)

        async def there() -> R:
            with self.in_use():
                return await use(value)

        return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(there(), home))

    async def next_of(self, use: Callable[[], Awaitable[R]]) -> R:
        """Await the next piece of a stream that was begun earlier.

        Raises ShuttingDown as soon as draining begins, NotStarted where nothing is open.
        """

        async def until_drain(_: T) -> R:
            run = self._run
            assert run is not None, "there is a value, so there is a run"
            if run.drain.is_set():
                raise ShuttingDown(UNFINISHED)
            try:
                with self.while_streaming:
                    async with asyncio.timeout(None) as waiting:
                        run.streams.add(waiting)
                        try:
                            return await use()
                        finally:
                            run.streams.discard(waiting)
            except TimeoutError:
                if waiting.expired():
                    raise ShuttingDown(UNFINISHED) from None
                raise

        return await self.run(until_drain, start=False)

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Mark one piece of work on the open value: closing lets it end first, within the drain's time."""
        run = self._run
        if run is None:
            raise NotStarted("there is nothing to use: the server is not started")
        run.uses += 1
        try:
            yield
        finally:
            run.uses -= 1
            if run.uses == 0:
                run.idle.set()

    def begin_drain(self) -> None:
        """Let every stream come to its end. Idempotent, and may be called from other threads and signal handlers."""
        run = self._run
        if run is not None and self.status == "ready":
            self._status = "draining"
            run.loop.call_soon_threadsafe(run.begin_drain)

    async def wait_draining(self) -> None:
        """Return once :meth:`begin_drain` has been called or the value is being closed."""
        run = self._run
        if run is None:
            raise NotStarted("there is nothing to drain: the server is not started")
        await run.drain.wait()

    async def aclose(self) -> None:
        """Close the value if it is open, whoever holds leases. Idempotent."""
        run = self._run
        if run is None or run.loop.is_closed():
            return
        if run.loop is not asyncio.get_running_loop():
            await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(self._close(run), run.loop))
        else:
            await self._close(run)

    def forget(self) -> object:
        """In a forked child: what is open lives in the parent, and is opened anew here when it is needed."""
        run, self._run = self._run, None
        self._status = "new"
        return run

    def _current_run(self) -> _Run[T]:
        """The run on this event loop, begun if there is none. Raises ShuttingDown while one is being closed."""
        loop = asyncio.get_running_loop()
        run = self._run
        if run is not None and not run.loop.is_closed():
            if run.stop.is_set():
                raise ShuttingDown("the server is shutting down")
            if run.loop is not loop:
                raise NotStarted("the server already runs on another event loop; enter its lifespan there")
            return run
        run = _Run(loop, loop.create_future())
        self._run = run
        self._status = "starting"
        # An empty context: the first requester's tenant or trace must not live on in the services.
        run.owner = loop.create_task(self._own(run), name=OWNER_TASK, context=contextvars.Context())
        return run

    async def _opened(self, run: _Run[T]) -> T:
        return await asyncio.shield(run.ready)

    async def _own(self, run: _Run[T]) -> None:
        try:
            async with AsyncExitStack() as stack:
                value = await self._open_value(stack)
                self._status = "ready"
                run.ready.set_result(value)
                await run.stop.wait()
                self._status = "draining"
                run.begin_drain()
                await self._idle(run)
        except BaseException as error:
            if run.ready.done():
                self._status = "stopped"
                if isinstance(error, Exception):
                    log.error("closing failed", exc_info=error)
            else:
                self._fail(run, error)
            if not isinstance(error, Exception):
                raise
        else:
            self._status = "stopped"
        finally:
            run.begin_drain()
            if self._run is run:
                self._run = None

    async def _idle(self, run: _Run[T]) -> None:
        """Wait until nothing is in use, but not for ever."""
        try:
            async with asyncio.timeout(self._drain_s):
                while run.uses:
                    run.idle.clear()
                    await run.idle.wait()
        except TimeoutError:
            log.warning("closing what is still in use", extra={"uses": run.uses, "waited_s": self._drain_s})

    def _fail(self, run: _Run[T], error: BaseException) -> None:
        self._status = "failed"
        self._failure = error if isinstance(error, BodhiError) else _unexpected(error)
        self._retry_at_s = self._clock.monotonic() + COOL_DOWN_S
        run.ready.set_exception(self._failure)
        run.ready.exception()  # read once, so that a start nobody waited for does not warn

    async def _close(self, run: _Run[T]) -> None:
        run.stop.set()
        owner = run.owner
        if owner is not None and owner is not asyncio.current_task():
            await asyncio.shield(_finished(owner))


async def _finished(task: "asyncio.Task[Any]") -> None:
    await asyncio.wait([task])


def _unexpected(error: BaseException) -> BodhiError:
    if isinstance(error, asyncio.CancelledError):
        return ShuttingDown("the server was stopped while it started")
    failure = NotStarted(f"the server could not start: {type(error).__name__}")
    failure.__cause__ = error
    return failure
