"""Brings to the disk what a file has so far, in a thread of its own, while more of it is being written.

So the end of a file waits for its last pieces only. A disk has a memory of its own, which only an fsync empties: when
that comes once, at the end, it takes two thirds of the time in which the file was received.
"""

import os
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

FLUSH_EVERY: Final = 8 * 1024 * 1024
"""Bytes that are brought to the disk together, or more where it is slower than the network."""


class Flusher:
    """One fsync of a file after the other, never two at once. Used by the thread that writes, which waits for none.

    The system tells a failure of the disk to the first fsync that meets it, and to no later one; ``has_failed`` keeps
    it.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bodhi-flush")
        self._running: Future[None] | None = None
        self._asked_at = 0
        self.has_failed = False

    def grown(self, size: int) -> None:
        """The file has so many bytes now. Raises OSError when the disk did not keep those before."""
        if self._running is not None:
            if not self._running.done():
                return  # what comes meanwhile is brought there by the next one
            self._running.result()
        if size - self._asked_at >= FLUSH_EVERY:
            self._asked_at = size
            self._running = self._thread.submit(self._flush)

    def finish(self) -> None:
        """Wait until all of the file is on the disk. Raises OSError when the disk did not keep it."""
        if self._running is not None:
            self._running.result()
        self._flush()

    def close(self) -> None:
        """Wait for what is under way; the file may be closed after that."""
        self._thread.shutdown()

    def _flush(self) -> None:
        try:
            os.fsync(self._fd)
        except OSError:
            self.has_failed = True
            raise
