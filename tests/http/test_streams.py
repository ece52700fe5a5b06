"""Streams on a real server: they come piece by piece, stop when the client goes, and end well when the server does."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.http import app
from bodhi_asgi.http import stream as streams
from bodhi_asgi.http.stream import EventStream, send_stream
from tests.http.conftest import USE, RawClient, Site, site

SLOW: dict[str, Any] = {"runner": "poison", "isolation": "thread", "n_ctx": 16_384, "slots": 4}


def ask(content: str, **more: Any) -> dict[str, Any]:
    return {"model": "parrot", "messages": [{"role": "user", "content": content}], **more}


LONG = ask("poison: sleep 0.02 " + "word " * 1500, stream=True)
"""Half a minute of talk: whoever is done sooner was stopped."""

AT_ONCE_S = 0.3


async def leaves(client: RawClient, how: str, here: Site) -> float:
    """Seconds from a client's going until its slot is free."""
    began = time.monotonic()
    getattr(client, how)()
    await here.becomes_idle()
    return time.monotonic() - began


@pytest.fixture(params=["h11", "httptools"])
async def slow(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Site]:
    """A model that takes its time for every token, behind each of uvicorn's two parsers."""
    async with site(tmp_path, {"http": request.param}, engine=SLOW) as opened:
        yield opened


async def test_chunks_come_while_the_model_still_speaks(slow: Site) -> None:
    token = await slow.token(*USE)
    async with slow.client.stream(
        "POST", "/v1/chat/completions", json=LONG, headers={"authorization": f"Bearer {token}"}
    ) as response:
        lines = response.aiter_lines()
        async with asyncio.timeout(20):
            first = await anext(lines)
        assert json.loads(first[6:])["choices"][0]["delta"]["role"] == "assistant"
        await slow.is_at_work()
    await slow.becomes_idle()


@pytest.mark.parametrize("how", ["leave", "vanish"])
async def test_a_client_that_goes_in_mid_stream_frees_the_slot(slow: Site, how: str) -> None:
    token, took_s = await slow.token(*USE), []
    for _ in range(3):  # the best of three: the machine may be busy with something else
        client = RawClient(slow.port)
        await client.post("/v1/chat/completions", LONG, token)
        async with asyncio.timeout(20):
            await client.read_until(b'"content":')
            await slow.is_at_work()
            took_s.append(await leaves(client, how, slow))
    assert min(took_s) < AT_ONCE_S


@pytest.mark.parametrize("how", ["leave", "vanish"])
async def test_a_client_that_goes_before_a_whole_answer_frees_the_slot(slow: Site, how: str) -> None:
    token, took_s = await slow.token(*USE), []
    for _ in range(3):
        client = RawClient(slow.port)
        await client.post("/v1/chat/completions", {**LONG, "stream": False}, token)
        async with asyncio.timeout(20):
            await slow.is_at_work()
            took_s.append(await leaves(client, how, slow))
    assert min(took_s) < AT_ONCE_S


async def test_a_drain_ends_every_stream_with_a_final_error_and_without_done(slow: Site) -> None:
    token = await slow.token(*USE)

    async def read() -> list[str]:
        headers = {"authorization": f"Bearer {token}"}
        async with slow.client.stream("POST", "/v1/chat/completions", json=LONG, headers=headers) as response:
            return [line async for line in response.aiter_lines() if line]

    reading = [asyncio.create_task(read()) for _ in range(3)]
    async with asyncio.timeout(20):
        await slow.is_at_work(3)
        slow.app.begin_drain()
        for lines in await asyncio.gather(*reading):
            last = json.loads(lines[-1].removeprefix("data: "))
            assert last["error"]["code"] == "server_shutting_down"
            assert "[DONE]" not in lines[-1]
    await slow.becomes_idle()


async def test_a_drain_gives_up_an_answer_that_is_not_ready_in_time(
    slow: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "GRACE_S", 0.05)
    headers = {"authorization": f"Bearer {await slow.token(*USE)}"}
    asking = asyncio.create_task(
        slow.client.post("/v1/chat/completions", json={**LONG, "stream": False}, headers=headers)
    )
    async with asyncio.timeout(20):
        await slow.is_at_work()
        slow.app.begin_drain()
        answer = await asking
        assert answer.status_code == 503
        assert answer.json()["error"]["code"] == "server_shutting_down"
        await slow.becomes_idle()


async def test_an_error_in_the_middle_is_one_frame_and_the_end(tmp_path: Path) -> None:
    async with site(tmp_path, engine=SLOW) as here:
        token = await here.token(*USE)
        body = ask("poison: later raise x y z a b c d e f", stream=True)
        response = await here.client.post(
            "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {token}"}
        )
        frames = [line for line in response.text.splitlines() if line.startswith("data: ")]
        assert response.status_code == 200
        assert json.loads(frames[-1][6:])["error"]["code"] == "engine_lost"
        assert "poison runner" not in response.text


class Wire:
    """The two ends of an ASGI connection, for what no real client can be made to do on demand."""

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []
        self.gone = asyncio.Event()

    async def receive(self) -> dict[str, Any]:
        await self.gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        self.sent.append(message)


async def never() -> None:
    await asyncio.Event().wait()


async def run(frames: Any, wire: Wire, closed: list[str]) -> None:
    async def close() -> None:
        closed.append("closed")

    stream = EventStream(frames, lambda error: error.code.encode(), close)
    await send_stream(stream, wire.receive, wire.send, headers=[], draining=never, on_error=lambda _: None)


async def test_a_quiet_stream_is_kept_alive_by_comments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "PING_S", 0.01)
    wire = Wire()
    go_on = asyncio.Event()

    async def frames() -> AsyncIterator[bytes]:
        await go_on.wait()
        yield b"data: x\n\n"

    running = asyncio.create_task(run(frames(), wire, []))
    async with asyncio.timeout(20):
        while not any(message.get("body") == streams.PING for message in wire.sent):
            await asyncio.sleep(0.005)
        go_on.set()
        await running
    assert wire.sent[-2]["body"] == b"data: x\n\n"
    assert wire.sent[-1]["more_body"] is False


async def test_a_source_that_never_waits_leaves_the_loop_to_others() -> None:
    wire = Wire()
    closed: list[str] = []

    async def frames() -> AsyncIterator[bytes]:
        while True:
            yield b"data: x\n\n"

    running = asyncio.create_task(run(frames(), wire, closed))
    async with asyncio.timeout(20):
        while len(wire.sent) < 3:
            await asyncio.sleep(0)
        wire.gone.set()
        await running
    assert closed


async def test_an_unexpected_failure_is_said_without_its_words() -> None:
    wire = Wire()

    async def frames() -> AsyncIterator[bytes]:
        yield b"data: x\n\n"
        raise ZeroDivisionError("secret")

    await run(frames(), wire, [])
    body = b"".join(message.get("body", b"") for message in wire.sent)
    assert body == b"data: x\n\ninternal_error"


async def test_two_hundred_clients_vanish_and_nothing_is_left(here: Site) -> None:
    token = await here.token(*USE)
    tasks = len(asyncio.all_tasks())

    async def come_and_go(number: int) -> None:
        client = RawClient(here.port)
        body = ask("word " * (1 + number % 300), stream=bool(number % 2))
        await client.post("/v1/chat/completions", body, token)
        if number % 3 == 0:
            await client.read_until(b"HTTP/1.1 200")
        (client.vanish if number % 2 else client.leave)()

    async with asyncio.timeout(60):
        for start in range(0, 200, 20):
            await asyncio.gather(*(come_and_go(number) for number in range(start, start + 20)), return_exceptions=True)
        await here.becomes_idle()
        while len(asyncio.all_tasks()) > tasks + 1:
            await asyncio.sleep(0.01)
