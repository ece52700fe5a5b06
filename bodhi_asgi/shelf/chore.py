"""One task that goes on as long as the server, with a named thread for what blocks; both end together."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class Chore:
    """``name`` is that of the task and of its thread."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self, run: Coroutine[Any, Any, None]) -> None:
        """Go about ``run`` until :meth:`aclose`."""
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=self._name)
        self._task = asyncio.create_task(run, name=self._name)

    async def aclose(self) -> None:
        """End the task; what the thread is at comes to its end, and nothing after it begins. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.shutdown, cancel_futures=True)

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What ``work`` gives, done in the thread after what was asked of it before."""
        assert self._thread is not None, "a chore is started before anything is asked of it"
        return await asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **kwargs))
