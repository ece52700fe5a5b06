"""The named thread in which one fetch does all its work with the disk, one piece after the other.

When the fetch is given up, the piece in hand is finished and what was laid down for the end is done, and nobody waits.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, Self, TypeVar

from bodhi_asgi.hub.errors import CacheNotWritable

P = ParamSpec("P")
T = TypeVar("T")


class Bench:
    """A thread of its own. What the file system refuses becomes CacheNotWritable."""

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._thread.shutdown(wait=False)

    def start(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> "asyncio.Future[T]":
        """Begin a piece of work after those before it."""
        return asyncio.get_running_loop().run_in_executor(self._thread, lambda: _done(work, *args, **kwargs))

    async def do(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What a piece of work gives."""
        return await self.start(work, *args, **kwargs)

    def at_last(self, work: Callable[[], None]) -> None:
        """Do something after all else, whether or not anybody still listens."""
        self._thread.submit(work)


def _done(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return work(*args, **kwargs)
    except OSError as error:
        raise CacheNotWritable(
            f"the cache of the hub cannot be used: {error.strerror}; see hub.cache_dir", reason=error.strerror
        ) from error
