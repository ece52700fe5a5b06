"""Server-sent events to a client that may leave and a server that may stop.

Sending never fails on the ASGI servers there are; only ``receive()`` tells that the client has gone, so it is listened
to from beginning to end, and the generator is closed at once. Format:
https://html.spec.whatwg.org/multipage/server-sent-events.html
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Receive, Send

from bodhi_asgi.errors import BodhiError, Broken, ShuttingDown

QUEUE: Final = 16
PING_S: Final = 15.0
PING: Final = b": ping\n\n"
YIELD_EVERY: Final = 8
END: Final = None

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
    queue: asyncio.Queue[bytes | None] = asyncio.Queue(QUEUE)
    producer = asyncio.create_task(_produce(stream, queue, on_error))
    gone = asyncio.create_task(_until_gone(receive))
    drain = asyncio.ensure_future(draining())
    tasks: list[asyncio.Future[None]] = [producer, gone, drain]
    try:
        await send({"type": "http.response.start", "status": 200, "headers": [*HEADERS, *headers]})
        sender = asyncio.create_task(_send_frames(queue, send))
        tasks.append(sender)
        await asyncio.wait({sender, gone, drain}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            return
        if not sender.done():
            await _cancel(producer, sender)
            error = ShuttingDown("the server is shutting down; the answer is not complete")
            await send({"type": "http.response.body", "body": stream.error_frame(error), "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})
    finally:
        await _cancel(*tasks)
        await stream.aclose()


async def _produce(stream: EventStream, queue: "asyncio.Queue[bytes | None]", on_error: Callable[..., None]) -> None:
    count = 0
    try:
        async for data in stream.frames:
            await queue.put(data)
            count += 1
            if count % YIELD_EVERY == 0:
                # A source that never really waits would keep the whole loop for itself.
                await asyncio.sleep(0)
    except BodhiError as error:
        on_error(error)
        await queue.put(stream.error_frame(error))
    except Exception as error:
        on_error(error)
        await queue.put(stream.error_frame(Broken("the answer could not be completed")))
    await queue.put(END)


async def _send_frames(queue: "asyncio.Queue[bytes | None]", send: Send) -> None:
    while True:
        try:
            async with asyncio.timeout(PING_S):
                first = await queue.get()
        except TimeoutError:
            # A connection that is half open is found out only by writing.
            await send({"type": "http.response.body", "body": PING, "more_body": True})
            continue
        ready = [first]
        while not queue.empty():
            ready.append(queue.get_nowait())
        data = b"".join(part for part in ready if part is not END)
        if data:
            await send({"type": "http.response.body", "body": data, "more_body": True})
        if ready[-1] is END:
            return


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def until_gone_or(work: "asyncio.Task[Any]", receive: Receive) -> bool:
    """Wait for ``work``; False when the client left first, and the work was cancelled and has ended."""
    gone = asyncio.create_task(_until_gone(receive))
    try:
        await asyncio.wait({work, gone}, return_when=asyncio.FIRST_COMPLETED)
        return work.done()
    finally:
        await _cancel(gone, *(() if work.done() else (work,)))


async def _cancel(*tasks: "asyncio.Future[Any]") -> None:
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError, Exception):
            await task
