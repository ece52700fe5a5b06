"""Streamed answers and downloads for code that is not asynchronous: iterators that can be closed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any, Final, Self, TypeVar

from bodhi_asgi.errors import NotStarted, ShuttingDown
from bodhi_asgi.formats.management.downloads import DownloadShape
from bodhi_asgi.pulls import ModelPull
from bodhi_asgi.sync.background import BACKGROUND, refuse_inside_loop
from bodhi_asgi.sync.twin import Twin

C = TypeVar("C")

END: Final = object()


class SyncStream(Twin[AsyncIterator[C]], Iterator[C]):
    """The chunks of one answer. Iterate to the end, or close it to stop the model; one that is dropped closes itself.

    ``with`` closes it, and so does a WSGI server for the body of a response. Closing may come from another thread.
    """

    def __init__(self, of: AsyncIterator[C]) -> None:
        super().__init__(of)
        self._home = BACKGROUND.loop
        self._is_closed = False
        self._reading: asyncio.Task[Any] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> C:
        if self._is_closed:
            raise StopIteration
        if not (self._is_here or BACKGROUND.has_ended):
            raise NotStarted("this stream belongs to the process that this one was forked from")
        refuse_inside_loop(f"use 'async for' with a {type(self._of).__name__}")
        try:
            chunk: C = self._wait(self._next)
        except ShuttingDown:
            if self._is_closed:
                raise StopIteration from None
            raise
        if chunk is END:
            self._is_closed = True
            raise StopIteration
        return chunk

    def close(self) -> None:
        """Stop the model and free its slot; returns when that is done. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._is_here:
            BACKGROUND.finish(self._end)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    def __del__(self) -> None:
        if not getattr(self, "_is_closed", True) and self._is_here:
            self._is_closed = True
            BACKGROUND.schedule(self._end)

    @property
    def _is_here(self) -> bool:
        """Whether this is still the process that it was opened in."""
        return BACKGROUND.is_on(self._home)

    async def _next(self) -> Any:
        self._reading = asyncio.current_task()
        try:
            return await anext(self._of, END)
        finally:
            self._reading = None

    async def _end(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.wait({self._reading})
        close = getattr(self._of, "aclose", None)
        if close is not None:
            await close()


class SyncModelPull(SyncStream[DownloadShape]):
    """A model on its way here. ``wait()`` to have it whole; iterate to follow it, from now on and up to its end.

    It goes on when nobody waits.
    """

    _of: ModelPull

    @property
    def id(self) -> str:
        """Of the download, for the other verbs."""
        return self._of.id

    @property
    def now(self) -> DownloadShape:
        """The download as it was last heard of."""
        return self._of.now

    def close(self) -> None:
        """Follow it no longer; it goes on. Idempotent."""
        super().close()

    def wait(self) -> DownloadShape:
        """The complete download. Raises DownloadFailed with the reason, or DownloadCancelled. A pause is waited out."""
        return self._wait(self._of.wait)
