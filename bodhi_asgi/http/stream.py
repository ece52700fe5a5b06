"""Server-sent events to a client that may leave and a server that may stop.

Sending never fails on the ASGI servers there are; only ``receive()`` tells that the client has gone, so it is listened
to from beginning to end, and the generator is closed at once. Format:
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Message, Receive, Send

from bodhi_asgi.errors import BodhiError, Broken, ShuttingDown

PING_S: Final = 15.0
STALL_S: Final = 15.0
"""Seconds that a client may leave what was sent unread; then it is given up, because its answer holds a slot."""
PING: Final = b": ping\n\n"
YIELD_EVERY: Final = 8
LAST_WORD_S: Final = 1.0
"""Seconds for a client to take the last word of a stream when the server stops."""
CANCELLED_WORD_S: Final = 0.3
"""The same where somebody has cancelled us and waits."""
RETRY_S: Final = 5.0
ENDED: Final = "the server has ended this request; the answer is not complete"

HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"x-accel-buffering", b"no"),
)


def frame(data: bytes) -> bytes:
    """One event."""
    return b"data: " + data + b"\n\n"


@dataclass(frozen=True, slots=True)
class EventStream:
    """A streamed answer: frames as bytes, how an error in the middle is said, and how the work behind it is ended.

    ``close`` is called however the stream ends, also when it never began; it is idempotent.
    """

    frames: AsyncGenerator[bytes]
    error_frame: Callable[[BodhiError], bytes]
    close: Callable[[], Awaitable[None]]

    async def aclose(self) -> None:
        await self.frames.aclose()
        await self.close()


async def send_stream(
    stream: EventStream,
    receive: Receive,
    send: Send,
    *,
    headers: list[tuple[bytes, bytes]],
    draining: Callable[[], Any],
    on_error: Callable[[BaseException], None],
) -> None:
    """Send all frames, a ping when there is nothing to send for a while, and one error frame when it ends badly.

    ``draining`` returns an awaitable that is done when the server is told to stop. Returns early when the client
    leaves.
    """
    line = _Line(send)
    gone = asyncio.create_task(_until_gone(receive))
    drain = asyncio.ensure_future(draining())
    tasks: list[asyncio.Future[Any]] = [gone, drain]
    has_begun = is_closed = False
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *headers]})
        has_begun = True
        sender = asyncio.create_task(_send_frames(stream, line, on_error))
        pulse = asyncio.create_task(line.keep_alive())
        tasks += [sender, pulse]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if gone.done() or pulse.done():
            return
        if sender.done():
            sender.result()
        else:
            await _cancel(sender, pulse)
            error = ShuttingDown("the server is shutting down; the answer is not complete")
            if not await line.sends_within(LAST_WORD_S, stream.error_frame(error)):
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    except asyncio.CancelledError:
        # So do servers end what is open when they stop. The work ends first, then a client that is there is told.
        if has_begun and not gone.done():
            await _cancel(*tasks[1:])
            await stream.aclose()
            is_closed = True
            if await line.sends_within(CANCELLED_WORD_S, stream.error_frame(ShuttingDown(ENDED))):
                await send({"type": "http.response.body", "body": b"", "more_body": False})
        raise
    finally:
        try:
            await _cancel(*tasks)
        finally:
            if not is_closed:
                await stream.aclose()


async def _send_frames(stream: EventStream, line: "_Line", on_error: Callable[..., None]) -> None:
    """Send all frames, and what went wrong as the last one."""
    count = 0
    try:
        async for data in stream.frames:
            await line.send(data)
            count += 1
            if count % YIELD_EVERY == 0:
                # A source that never really waits would keep the whole loop for itself.
                await asyncio.sleep(0)
    except BodhiError as error:
        on_error(error)
        await line.send(stream.error_frame(error))
    except Exception as error:
        on_error(error)
        await line.send(stream.error_frame(Broken("the answer could not be completed")))


class _Line:
    """The way to one client, used by one at a time, and watched by one timer instead of two for each frame."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._turn = asyncio.Lock()
        self._now_s = asyncio.get_running_loop().time
        self._began_s = self._now_s()
        self._is_sending = False

    async def send(self, data: bytes) -> None:
        """Send a part of the body; servers hold this back while the client's socket is full."""
        async with self._turn:
            self._began_s = self._now_s()
            self._is_sending = True
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
            self._is_sending = False

    async def sends_within(self, seconds: float, data: bytes) -> bool:
        """Whether the client took ``data`` in time."""
        try:
            async with asyncio.timeout(seconds):
                await self.send(data)
        except TimeoutError:
            return False
        return True

    async def keep_alive(self) -> None:
        """Ping where nothing was sent for a while; returns when the client has stopped reading.

        A connection that is half open is found out only by writing.
        """
        look_s = min(PING_S, STALL_S)
        while True:
            quiet_s = self._now_s() - self._began_s
            if self._is_sending and quiet_s >= STALL_S:
                return
            if not self._is_sending and quiet_s >= PING_S:
                if not await self.sends_within(STALL_S, PING):
                    return
            else:
                await asyncio.sleep(look_s - quiet_s if quiet_s < look_s else look_s)


class Departure:
    """Hears that the client has gone, once for everything in one request that wants to know.

    A disconnect that one listener has taken from the server is not told to the next one.
    """

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._listening: asyncio.Task[None] | None = None

    async def receive(self) -> Message:
        """The ASGI ``receive`` of a request whose body is read: returns when the client has gone."""
        if self._listening is None:
            self._listening = asyncio.create_task(_until_gone(self._receive), name="bodhi-departure")
        await asyncio.shield(self._listening)
        return {"type": "http.disconnect"}

    @property
    def has_happened(self) -> bool:
        """Whether the client is known to have gone."""
        return self._listening is not None and self._listening.done()

    async def stop_listening(self) -> None:
        if self._listening is not None:
            await _cancel(self._listening)


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def until_gone_or(
    work: "asyncio.Task[Any]", receive: Receive, out_of_time: Coroutine[Any, Any, None] | None = None
) -> bool:
    """Wait for ``work``; False when the client left first. Raises ShuttingDown when ``out_of_time`` returned first.

    In both cases the work has been cancelled and has ended.
    """
    gone = asyncio.create_task(_until_gone(receive))
    limits = [gone] if out_of_time is None else [gone, asyncio.create_task(out_of_time)]
    try:
        await asyncio.wait({work, *limits}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done() and not gone.done():
            raise ShuttingDown("the server is shutting down; the answer was not ready in time", retry_after_s=RETRY_S)
        return work.done()
    finally:
        await _cancel(*limits, *(() if work.done() else (work,)))


async def _cancel(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel and wait. What they end with is nobody's concern any more; our own cancellation is not swallowed."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)
    for task in tasks:
        if not task.cancelled():
            task.exception()
