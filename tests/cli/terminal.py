"""A terminal of our own, with the command line in it: what is typed, what is shown, and when it ends."""

import asyncio
import codecs
import os
import pty
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

WAITS_S = 30


class Terminal:
    """One process that believes to have a person in front of it."""

    def __init__(self, process: asyncio.subprocess.Process, screen: int) -> None:
        self.process = process
        self._screen = screen
        self._shown = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()  # a read may end inside a character
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(screen, self._read)

    def _read(self) -> None:
        try:
            self._shown += self._decoder.decode(os.read(self._screen, 65536))
        except OSError:  # the other side is gone
            asyncio.get_running_loop().remove_reader(self._screen)
        self._more.set()

    async def type(self, text: str) -> None:
        """In a thread: a terminal takes a few kilobytes at a time, and shows them before it takes more."""
        left = text.encode()
        while left:
            left = left[await asyncio.to_thread(os.write, self._screen, left) :]

    async def shows(self, text: str) -> str:
        """Wait until ``text`` is shown, and give everything up to its end; what follows is left for the next call."""
        try:
            async with asyncio.timeout(WAITS_S):
                while text not in self._shown:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"waited for {text!r} and saw {self._shown[-500:]!r}") from None
        before, _, self._shown = self._shown.partition(text)
        return before + text

    async def interrupt_until(self, text: str) -> str:
        """Press Ctrl-C until ``text`` is shown: one that comes between two moments may be for neither."""

        async def press() -> None:
            self.process.send_signal(signal.SIGINT)

        return await self._until(press, text)

    async def type_until(self, line: str, text: str) -> str:
        """Type ``line`` until ``text`` is shown: a Ctrl-C that is still on its way may take one with it."""
        return await self._until(lambda: self.type(line), text)

    async def _until(self, act: Callable[[], Awaitable[None]], text: str) -> str:
        for _ in range(WAITS_S):
            await act()
            try:
                async with asyncio.timeout(1):
                    while text not in self._shown:
                        self._more.clear()
                        await self._more.wait()
            except TimeoutError:
                continue
            break
        return await self.shows(text)

    async def ended(self) -> int:
        async with asyncio.timeout(WAITS_S):
            return await self.process.wait()


@asynccontextmanager
async def terminal(command: list[str], environment: dict[str, str]) -> AsyncIterator[Terminal]:
    """``command`` in a terminal; it is killed if it is still there at the end."""
    screen, keyboard = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command, env={**environment, "TERM": "dumb"}, stdin=keyboard, stdout=keyboard, stderr=keyboard
    )
    os.close(keyboard)
    try:
        yield Terminal(process, screen)
    finally:
        asyncio.get_running_loop().remove_reader(screen)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(screen)
