"""One event loop for all synchronous calls of this process, in a daemon thread that starts with the first of them.

One, because services live on the loop that opened them; a loop for every call would open them anew each time.
"""

import asyncio
import atexit
import concurrent.futures
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Final, ParamSpec, TypeVar

from bodhi_asgi.errors import ShuttingDown
from bodhi_asgi.forks import FORKS
from bodhi_asgi.lifecycle import OWNER_TASK
from bodhi_asgi.loops import this_loop
from bodhi_asgi.sync.errors import InsideEventLoop

P = ParamSpec("P")
T = TypeVar("T")

THREAD: Final = "bodhi-sync"
END_S: Final = 2.0
"""The most that the end of the interpreter waits for what is still open."""


class Background:
    """Runs coroutines for threads that wait. Safe to call from any thread, and to be forked."""

    def __init__(self) -> None:
        self._starting = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._is_known = False
        self._has_ended = False

    @property
    def has_ended(self) -> bool:
        """Whether the interpreter is on its way out, and nothing more is begun."""
        return self._has_ended

    def is_on(self, loop: asyncio.AbstractEventLoop) -> bool:
        """Whether that is the loop; it is another one in a child, and none at the end of the interpreter."""
        return self._loop is loop

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop, started if there is none."""
        with self._starting:
            return self._started()

    def _started(self) -> asyncio.AbstractEventLoop:
        """The same for who holds the lock."""
        if self._has_ended:
            raise ShuttingDown("the interpreter is ending")
        if self._loop is None:
            if not self._is_known:
                _at_exit(self.end)
                FORKS.add(self)
                self._is_known = True
            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=_serve, args=(self._loop,), name=THREAD, daemon=True)
            self._thread.start()
        return self._loop

    def run(self, verb: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
        """Await ``verb(*args, **kwargs)`` there and return its result. An interrupt of the wait cancels it.

        Raises what the verb raises, InsideEventLoop where this thread runs an event loop of its own, and ShuttingDown
        when the interpreter ends meanwhile.
        """
        refuse_inside_loop(f"await {getattr(verb, '__qualname__', repr(verb))}()")
        with self._starting:  # so that it stands in line before the end, or is not begun
            loop = self._started()
            future = asyncio.run_coroutine_threadsafe(_awaited(verb, *args, **kwargs), loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise ShuttingDown("the call was ended from elsewhere before it had an answer") from None
        except BaseException:
            future.cancel()
            raise

    def finish(self, verb: Callable[[], Awaitable[None]]) -> None:
        """Await a clean-up there; where this thread runs an event loop, without waiting for it."""
        try:
            self.run(verb)
        except InsideEventLoop:
            self.schedule(verb)

    def schedule(self, verb: Callable[[], Awaitable[None]]) -> None:
        """Have it awaited without waiting for it; nothing where the loop has ended."""
        loop = self._loop
        if loop is not None:
            # A loop that ends at this very moment ends what was to be awaited too.
            with suppress(RuntimeError):
                loop.call_soon_threadsafe(lambda: asyncio.ensure_future(_awaited(verb)))

    def end(self) -> None:
        """Cancel what runs, which closes what is open, and end the thread. For the end of the interpreter."""
        with self._starting:
            self._has_ended = True
            loop, self._loop = self._loop, None
            thread, self._thread = self._thread, None
        if loop is None or thread is None:
            return
        asyncio.run_coroutine_threadsafe(_wind_up(), loop)
        thread.join(END_S + 1)

    def forget(self) -> object:
        """In a forked child, where the thread does not exist."""
        left = self._loop, self._thread, self._starting
        self._loop = self._thread = None
        self._starting = threading.Lock()  # somebody may have held it
        return left


BACKGROUND: Final = Background()
"""Of this process."""


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()


async def _awaited(verb: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs) -> T:
    return await verb(*args, **kwargs)


async def _wind_up() -> None:
    """End what is waited for, then what owns open services; then the loop, or after a while all the same."""
    with suppress(TimeoutError):
        async with asyncio.timeout(END_S):
            for is_theirs in (_is_awaited, _is_owner):
                tasks = {task for task in asyncio.all_tasks() if is_theirs(task)} - {asyncio.current_task()}
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
    asyncio.get_running_loop().stop()


def _is_awaited(task: "asyncio.Task[Any]") -> bool:
    return getattr(task.get_coro(), "__name__", "") == _awaited.__name__


def _is_owner(task: "asyncio.Task[Any]") -> bool:
    return task.get_name() == OWNER_TASK


def _at_exit(end: Callable[[], None]) -> None:
    """Have it called while threads can still be used, which is over when ordinary exit functions are called."""
    getattr(threading, "_register_atexit", atexit.register)(end)


def refuse_inside_loop(instead: str) -> None:
    """Raise InsideEventLoop, saying what to do ``instead``, when this thread runs an event loop."""
    if this_loop() is not None:
        raise InsideEventLoop(
            f"a synchronous call would stop the event loop that runs in this thread; here, {instead}: the asynchronous "
            f"verbs are request.state.bodhi, or bodhi_app.server"
        )
