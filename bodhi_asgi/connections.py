"""One connection to another machine: what it brings is received where its reader wants it, and copied nowhere else.

A client of HTTP reads in pieces, each of which is copied several times on its way; that is most of what a fast download
costs. So a body can also be received into blocks of the reader's own, straight from the system.
"""

import asyncio
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, cast

import httpcore2
import httpx2

ROOM_BYTES: Final = 64 * 1024
"""What a connection receives before anybody reads it."""


class Block:
    """Room for so many bytes, filled from its front."""

    def __init__(self, size: int) -> None:
        self._room = memoryview(bytearray(size))
        self._end = size
        self.filled = 0

    @property
    def free(self) -> memoryview:
        return self._room[self.filled : self._end]

    @property
    def data(self) -> memoryview:
        """What has been received."""
        return self._room[: self.filled]

    @property
    def is_full(self) -> bool:
        return self.filled == self._end

    def clear(self) -> None:
        self._end, self.filled = len(self._room), 0

    def narrow(self, most: int) -> None:
        """Be full with so many bytes, if that is fewer than there is room for."""
        self._end = min(len(self._room), most)

    def put(self, data: memoryview) -> int:
        """Take over as much of ``data`` as there is room for; how much that was."""
        count = min(len(data), self._end - self.filled)
        self._room[self.filled : self.filled + count] = data[:count]
        self.filled += count
        return count

    def take(self, most: int) -> bytes:
        """Remove bytes from the front."""
        taken = bytes(self._room[: min(most, self.filled)])
        rest = self.filled - len(taken)
        self._room[:rest] = self._room[len(taken) : self.filled]
        self.filled = rest
        return taken


class Trust(ssl.SSLContext):
    """Whom the system believes to be the host of a name. Reading that list takes longer than a connection does, so it
    is left until there is something to be encrypted.
    """

    _known: ssl.SSLContext | None = None

    def known(self) -> ssl.SSLContext:
        """The list, read once. Blocking."""
        if self._known is None:
            self._known = httpx2.create_ssl_context(trust_env=False)
            self._known.set_alpn_protocols(["http/1.1"])
        return self._known


class Intake(asyncio.BufferedProtocol):
    """Receives, into its own room or into a block, and not a byte more than there is room for."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self.room = Block(ROOM_BYTES)
        self.is_over = False
        self.error: Exception | None = None
        self._into = self.room
        self._news: asyncio.Future[None] | None = None
        self._may_write = asyncio.Event()
        self._may_write.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _: int) -> memoryview:
        return self._into.free

    def buffer_updated(self, nbytes: int) -> None:
        self._into.filled += nbytes
        if self._into.is_full:
            self._pause()
        self._tell()

    def eof_received(self) -> None:
        self._end(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(exc)

    def pause_writing(self) -> None:
        self._may_write.clear()

    def resume_writing(self) -> None:
        self._may_write.set()

    async def written(self) -> None:
        """Wait until there is room for more to be sent, or nobody to send it to."""
        await self._may_write.wait()

    @contextmanager
    def receiving(self, block: Block) -> Iterator[None]:
        """Receive into ``block`` instead of the room, beginning with what is there; and nothing when it is left."""
        self.room.take(block.put(self.room.data))
        self._into = block
        self._resume()
        try:
            yield
        finally:
            self._into = self.room
            self._pause()

    async def some(self) -> None:
        """Wait until something has come, or nothing more will."""
        self._resume()
        while not self._into.filled and not self.is_over:
            await self._next()

    async def all(self) -> None:
        """Wait until there is no more room, or nothing more will come."""
        while not self._into.is_full and not self.is_over:
            await self._next()

    def _resume(self) -> None:
        if not self._into.is_full and not self.transport.is_closing():
            self.transport.resume_reading()

    def _pause(self) -> None:
        if not self.transport.is_closing():
            self.transport.pause_reading()

    async def _next(self) -> None:
        self._news = asyncio.get_running_loop().create_future()
        try:
            await self._news
        finally:
            self._news = None

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    def _end(self, error: Exception | None) -> None:
        self.is_over = True
        self.error = self.error or error
        self._may_write.set()
        self._tell()


class Connection(httpcore2.AsyncNetworkStream):
    """A connection as a client of HTTP wants it, with :meth:`receive` beside."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with timing_out(httpcore2.ReadTimeout):
            async with asyncio.timeout(timeout):
                await self._intake.some()
        self._require(self._intake.room)
        return self._intake.room.take(max_bytes)

    async def receive(self, block: Block, within_s: float, timeout: float | None) -> None:
        """Fill ``block``, or put into it what comes in ``within_s`` seconds after its first byte; nothing is the end.

        Raises ReadTimeout when nothing comes for ``timeout`` seconds, and ReadError. Cancelled, it leaves in the block
        what has come.
        """
        with self._intake.receiving(block):
            with timing_out(httpcore2.ReadTimeout):
                async with asyncio.timeout(timeout):
                    await self._intake.some()
            if not block.is_full:
                with suppress(TimeoutError):
                    async with asyncio.timeout(within_s):
                        await self._intake.all()
        self._require(block)

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if self._intake.is_over:
            raise httpcore2.WriteError("the connection has ended")
        self._intake.transport.write(buffer)
        with timing_out(httpcore2.WriteTimeout):
            async with asyncio.timeout(timeout):
                await self._intake.written()

    async def aclose(self) -> None:
        self._intake.transport.abort()
        await asyncio.sleep(0)  # in which the loop closes it

    async def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore2.AsyncNetworkStream:
        if self._intake.room.filled:  # what is not encrypted would be read as if it had been
            await self.aclose()
            raise httpcore2.ConnectError("the other side speaks before the connection is encrypted")
        try:
            with timing_out(httpcore2.ConnectTimeout):
                async with asyncio.timeout(timeout):
                    self._intake.transport = await self._encrypted(ssl_context, server_hostname)
        except OSError as error:
            raise httpcore2.ConnectError(str(error)) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            return self._intake.is_over or self._intake.room.filled > 0
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._intake.transport.get_extra_info(names.get(info, info))

    async def _encrypted(self, ssl_context: ssl.SSLContext, server_hostname: str | None) -> asyncio.Transport:
        trusted = await asyncio.to_thread(ssl_context.known) if isinstance(ssl_context, Trust) else ssl_context
        intake = self._intake
        made = await asyncio.get_running_loop().start_tls(
            intake.transport, intake, trusted, server_hostname=server_hostname
        )
        if made is None:  # it ended meanwhile
            raise ConnectionResetError("the connection ended while it was being encrypted")
        return made

    def _require(self, block: Block) -> None:
        if not block.filled and self._intake.error is not None:
            raise httpcore2.ReadError(str(self._intake.error)) from self._intake.error


async def connected(
    address: str, port: int, timeout_s: float | None, local_address: str | None, options: Iterable[Any]
) -> Connection:
    """A connection to an address. Raises ConnectError and ConnectTimeout."""
    local = None if local_address is None else (local_address, 0)
    try:
        with timing_out(httpcore2.ConnectTimeout):
            async with asyncio.timeout(timeout_s):
                loop = asyncio.get_running_loop()
                _, intake = await loop.create_connection(Intake, address, port, local_addr=local)
    except OSError as error:
        raise httpcore2.ConnectError(str(error)) from error
    for option in options:
        intake.transport.get_extra_info("socket").setsockopt(*option)
    return Connection(intake)


@contextmanager
def timing_out(error: type[Exception]) -> Iterator[None]:
    """Raise ``error`` in place of TimeoutError."""
    try:
        yield
    except TimeoutError:
        raise error from None
