"""Hears the process's SIGTERM and SIGINT, when it was asked to, and passes them on to whoever had them before.

Some servers wait for open streams before they say a word to the application, and have nothing that could be read. A
handler in front of theirs is the only way to end the streams first; it changes nothing else.
"""

import asyncio
import os
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

NUMBERS: Final = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Stands in front of the handlers that are there, from :meth:`listen` to :meth:`close`."""

    def __init__(self, begin: Callable[[], None]) -> None:
        self._begin = begin
        self._before: dict[int, Any] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def listen(self) -> None:
        """Listen on the running loop's behalf, also when a server has set its own handlers since. Idempotent.

        Where the loop is not in the main thread, or a handler was not set by Python, nothing is changed.
        """
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        for number in NUMBERS:
            there = signal.getsignal(number)
            if there is not None and there != self._heard and there is not signal.SIG_IGN:
                self._before[number] = there
                self._set(number, self._heard)

    def close(self) -> None:
        """Give back what was there, unless somebody has set something else since. Idempotent."""
        if threading.current_thread() is not threading.main_thread():
            return
        for number, before in self._before.items():
            if signal.getsignal(number) == self._heard:
                self._set(number, before)
        self._before.clear()

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._begin)
        before = self._before.get(number)
        if callable(before):
            before(number, frame)
        elif before is signal.SIG_DFL:
            signal.signal(number, before)
            os.kill(os.getpid(), number)

    def _set(self, number: int, handler: Any) -> None:
        signal.signal(number, handler)
        # As event loops set it for theirs: system calls go on after a signal.
        signal.siginterrupt(number, False)
