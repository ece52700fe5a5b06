"""Writes to one socket from any thread: at once what the kernel takes, the rest as soon as it takes more.

The transport of an event loop may be written to in that loop's thread alone. So each step of the engine would have to
wake that thread, which then holds the interpreter just when the next step begins.
"""

import asyncio
import contextlib
import os
import socket
import threading
from collections.abc import Callable


class Sender:
    """Beside the transport that reads from ``connection``, whose errors and end are that one's affair.

    Belongs to the running event loop; :meth:`write` may be called from any thread.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        # A descriptor of its own, because an event loop listens for its transports alone on theirs.
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))
        self._socket.setblocking(False)
        self._then: Callable[[], None] | None = None
        # Shared between threads, under the guard:
        self._guard = threading.Lock()
        self._left = bytearray()
        self._is_closed = False

    def write(self, data: bytes) -> None:
        """Send all of this after what was written before; nothing when it is closed. Thread-safe."""
        with self._guard:
            if self._is_closed or self._then is not None:
                return
            if self._left:
                self._left += data
                return
            sent = self._send(data)
            if sent == len(data):
                return
            self._left += data[sent:]
        with contextlib.suppress(RuntimeError):  # the event loop has ended, and with it the connection
            self._loop.call_soon_threadsafe(self._listen)

    def when_empty(self, then: Callable[[], None]) -> None:
        """Call ``then`` once all that was written has been sent, or at once. Called in the loop's thread."""
        with self._guard:
            if self._left:
                self._then = then
                return
        then()

    def close(self) -> None:
        """Send no more. Idempotent; called in the event loop's thread."""
        with self._guard:
            if self._is_closed:
                return
            self._is_closed = True
            self._left.clear()
        self._loop.remove_writer(self._socket)
        self._socket.close()

    def _listen(self) -> None:
        if not self._is_closed:
            self._loop.add_writer(self._socket, self._send_left)

    def _send_left(self) -> None:
        with self._guard:
            del self._left[: self._send(self._left)]
            if self._left:
                return
        self._loop.remove_writer(self._socket)
        if self._then is not None:
            self._then()

    def _send(self, data: bytes | bytearray) -> int:
        try:
            return self._socket.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError:
            return len(data)  # nobody is there any more, as the transport will hear
