"""A client that goes, or stops reading, found out once and for all in one request."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from bodhi_asgi.http import stream as streams
from bodhi_asgi.http.stream import Departure, EventStream, send_stream, until_gone_or


class OneDisconnect:
    """A server that tells a disconnect once and never again, as a queue does."""

    def __init__(self) -> None:
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.asked = 0

    async def receive(self) -> dict[str, Any]:
        self.asked += 1
        return await self.messages.get()

    def disconnect(self) -> None:
        self.messages.put_nowait({"type": "http.disconnect"})


async def test_what_one_listener_heard_is_told_to_the_next() -> None:
    server = OneDisconnect()
    departure = Departure(server.receive)
    work: asyncio.Task[int] = asyncio.create_task(asyncio.sleep(0, 1))
    assert await until_gone_or(work, departure.receive)
    assert not departure.has_happened

    server.disconnect()
    async with asyncio.timeout(20):
        assert await departure.receive() == await departure.receive() == {"type": "http.disconnect"}
    assert departure.has_happened
    assert server.asked == 1
    await departure.stop_listening()


async def test_work_for_a_client_that_has_gone_is_cancelled_and_has_ended() -> None:
    server = OneDisconnect()
    departure = Departure(server.receive)
    ended: list[str] = []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append("ended")

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    server.disconnect()
    async with asyncio.timeout(20):
        assert not await until_gone_or(task, departure.receive)
    assert ended == ["ended"]
    assert task.cancelled()


async def test_a_receive_that_fails_counts_as_gone() -> None:
    async def receive() -> Any:
        raise OSError("the socket is gone")

    departure = Departure(receive)
    task = asyncio.create_task(asyncio.Event().wait())
    async with asyncio.timeout(20):
        assert not await until_gone_or(task, departure.receive)
    assert departure.has_happened
    await departure.stop_listening()


async def test_a_client_that_stops_reading_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "STALL_S", 0.01)
    closed: list[str] = []
    sent: list[Any] = []

    async def frames() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: x\n\n"
        finally:
            closed.append("generator")

    async def close() -> None:
        closed.append("work")

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) > 2:
            await asyncio.Event().wait()

    async def never() -> None:
        await asyncio.Event().wait()

    stream = EventStream(frames(), lambda error: error.code.encode(), close)  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await send_stream(stream, receive, send, headers=[], draining=never, on_error=lambda _: None)
    assert closed == ["generator", "work"]
    assert sent[-1]["more_body"] is True  # the end is not said: it would be a lie


async def test_a_client_that_does_not_take_the_last_word_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "LAST_WORD_S", 0.01)
    closed: list[str] = []
    stalled = asyncio.Event()
    drain = asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        while True:
            yield b"data: x\n\n"

    async def close() -> None:
        closed.append("work")

    async def receive() -> Any:
        await asyncio.Event().wait()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            stalled.set()
            await asyncio.Event().wait()

    stream = EventStream(frames(), lambda error: error.code.encode(), close)  # type: ignore[arg-type]
    sending = asyncio.create_task(
        send_stream(stream, receive, send, headers=[], draining=drain.wait, on_error=lambda _: None)
    )
    async with asyncio.timeout(20):
        await stalled.wait()
        drain.set()
        await sending
    assert closed == ["work"]


async def test_a_cancelled_request_closes_its_work_and_stays_cancelled() -> None:
    closed: list[str] = []

    async def frames() -> AsyncIterator[bytes]:
        yield b"data: x\n\n"
        await asyncio.Event().wait()

    async def close() -> None:
        closed.append("work")

    async def receive() -> Any:
        await asyncio.Event().wait()

    sent = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            sent.set()

    stream = EventStream(frames(), lambda error: b"", close)  # type: ignore[arg-type]
    tasks = asyncio.all_tasks()
    request = asyncio.create_task(
        send_stream(stream, receive, send, headers=[], draining=asyncio.Event().wait, on_error=lambda _: None)
    )
    async with asyncio.timeout(20):
        await sent.wait()
        request.cancel()
        await asyncio.wait([request])
    assert request.cancelled()
    assert closed == ["work"]
    assert asyncio.all_tasks() == tasks
