"""Clients that vanish, dawdle or stand still cost nobody else anything."""

import asyncio
import json
import os
import random
import signal
import socket
import struct
import sys
import time
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from starlette.applications import Starlette

from bodhi_asgi import BodhiApp, Caller
from bodhi_asgi.http import stream as streams
from tests.engine.support import becomes_idle
from tests.faults.conftest import AS_ANN
from tests.servers import serving, spawned

DISCONNECTS = 5000
LORIS = 500
STALLED = 500
STREAMS = 200
MEASURED_AGAIN = 1
"""A machine that does something else meanwhile slows one measurement down; who dawdles would slow down all of them."""
BUFFER = 4096
RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that turns a close into an RST."""


def user(connection: Any) -> Caller | None:
    name = connection.headers.get("x-user")
    return Caller.user(name) if name else None


@pytest.fixture
def app(tmp_path: Path) -> BodhiApp:
    engine = {"runner": "poison", "isolation": "thread", "n_ctx": 4096, "slots": 8, "queue_limit": 10_000}
    engine["queue_limit_per_caller"] = 10_000
    models = {"parrot": "nowhere"}
    return BodhiApp(data_dir=tmp_path / "data", models=models, demo=False, engine=engine, identity=user)


@pytest.fixture
async def base(app: BodhiApp) -> AsyncIterator[str]:
    async with serving(app.install(Starlette()), send_buffer=BUFFER, backlog=4096) as url:
        yield url


def request_bytes(text: str, *, name: str = "ann") -> bytes:
    body = {"model": "parrot", "stream": True, "messages": [{"role": "user", "content": text}]}
    payload = json.dumps(body).encode()
    head = f"POST /bodhi/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nx-user: {name}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(payload)}\r\n\r\n"
    return head.encode() + payload


async def connect(base: str) -> tuple[StreamReader, StreamWriter]:
    host, _, port = base.removeprefix("http://").partition(":")
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER)
    connection.setblocking(False)
    await asyncio.get_running_loop().sock_connect(connection, (host, int(port)))
    return await asyncio.open_connection(sock=connection)


async def vanish(base: str, dice: random.Random) -> None:
    """Ask, and be gone: before an answer, while the prompt is computed, or in the middle of the answer."""
    moment = dice.choice(("at once", "in prefill", "in decode"))
    reader, writer = await connect(base)
    text = "word " * 1500 if moment == "in prefill" else "poison: sleep 0.001 " + "word " * 50
    writer.write(request_bytes(text))
    await writer.drain()
    if moment == "in decode":
        await reader.readuntil(b"word")
    elif moment == "in prefill":
        await reader.readuntil(b"\r\n\r\n")
    if dice.random() < 0.5:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        writer.transport.abort()
    writer.close()


@pytest.mark.timeout(600)
async def test_five_thousand_vanished_clients_leave_no_slot_and_no_task(app: BodhiApp, base: str) -> None:
    await asyncio.gather(*(vanish(base, random.Random(n)) for n in range(8)))
    bodhi = await app.ensure_started()
    services = app.server.services
    engine = await services.engines.engine((await services.models.resolve(Caller.host(), "parrot")).spec)
    await becomes_idle(engine)
    tasks = len(asyncio.all_tasks())
    dice = random.Random(5)
    for _ in range(DISCONNECTS // 50):
        await asyncio.gather(*(vanish(base, dice) for _ in range(50)))
    await becomes_idle(engine)
    async with asyncio.timeout(20):
        while len(asyncio.all_tasks()) > tasks:
            await asyncio.sleep(0.01)
    hello = {"model": "parrot", "messages": [{"role": "user", "content": "still here"}]}
    assert (await bodhi.chat_completion(hello, stream=False)).text == "still here"


async def p99_of(client: httpx2.AsyncClient, requests: int) -> float:
    """Seconds that all but one of a hundred complete answers take at most, four at a time."""
    taken: list[float] = []

    async def ask() -> None:
        for _ in range(requests // 4):
            began = time.monotonic()
            body = {"model": "parrot", "messages": [{"role": "user", "content": "one two three"}]}
            answer = await client.post("/bodhi/v1/chat/completions", json=body)
            assert answer.status_code == 200, answer.text
            taken.append(time.monotonic() - began)

    await asyncio.gather(*(ask() for _ in range(4)))
    return sorted(taken)[int(len(taken) * 0.99) - 1]


@pytest.mark.timeout(900)
async def test_a_thousand_dawdling_clients_do_not_slow_down_the_others(
    app: BodhiApp, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # However long it takes to bring all of them to a stand, none of them is given up before.
    monkeypatch.setattr(streams, "STALL_S", 3600.0)
    writers: list[StreamWriter] = []
    async with httpx2.AsyncClient(base_url=base, headers=AS_ANN, timeout=60) as client:
        await p99_of(client, 40)
        alone = max([await p99_of(client, 200) for _ in range(2)])
        bound = max(2 * alone, 0.1)
        try:
            await dawdle(base, writers)
            services = app.server.services
            engine: Any = await services.engines.engine((await services.models.resolve(Caller.host(), "parrot")).spec)
            # Every stream has come to where its client should read on, and has given its place away or may have to.
            while (stats := await engine.stats()).running + stats.waiting < STALLED or engine._engine.is_busy:
                await asyncio.sleep(0.05)
            beside = await p99_of(client, 200)
            for _ in range(MEASURED_AGAIN):
                if beside <= bound:
                    break
                beside = await p99_of(client, 200)
            stats = await engine.stats()
        finally:
            for writer in writers:
                writer.transport.abort()
    print(f"p99 alone {alone * 1000:.1f} ms, beside them {beside * 1000:.1f} ms")
    assert stats.running + stats.waiting == STALLED
    assert beside <= bound


async def dawdle(base: str, writers: list[StreamWriter]) -> None:
    """Open connections whose requests never end, and streams that nobody reads."""
    for number in range(LORIS):
        _, writer = await connect(base)
        writers.append(writer)
        writer.write(b"POST /bodhi/v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nx-slow: ")
        if number % 2:
            writer.write(b"1\r\nx-user: ann\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
    for _ in range(STALLED):
        reader, writer = await connect(base)
        writers.append(writer)
        reader._transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(request_bytes("word " * 600, name="mallory"))
    await asyncio.gather(*(writer.drain() for writer in writers))


@pytest.mark.timeout(120)
async def test_sigterm_under_two_hundred_streams_ends_each_with_a_last_word(tmp_path: Path) -> None:
    settings = {
        "BODHI_DATA_DIR": str(tmp_path / "data"),
        "BODHI_MODELS": '{"parrot": "nowhere"}',
        "BODHI_DEMO": "false",
        "BODHI_ENGINE__RUNNER": "poison",
        "BODHI_ENGINE__N_CTX": "100000",
        "BODHI_ENGINE__SLOTS": "256",
        "BODHI_ENGINE__QUEUE_LIMIT_PER_CALLER": "256",
        "PYTHONUNBUFFERED": "1",
    }
    made = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bodhi_asgi", "token", "create", "--name", "x", "--all-models"),
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    token = (await made.communicate())[0].decode().strip()
    command = [sys.executable, "-m", "bodhi_asgi", "serve", "--port", "0"]
    async with spawned(command, settings) as server:
        url = await server.until(r"Serving on (http://\S+)")
        limits = httpx2.Limits(max_connections=None)
        headers = {"Authorization": f"Bearer {token}"}
        begun = asyncio.Semaphore(0)
        async with httpx2.AsyncClient(base_url=url, headers=headers, timeout=60, limits=limits) as client:

            async def follow(number: int) -> str:
                text = f"poison: sleep 0.01 {number} " + "word " * 300
                body = {"model": "parrot", "stream": True, "messages": [{"role": "user", "content": text}]}
                last = ""
                async with client.stream("POST", "/v1/chat/completions", json=body) as response:
                    assert response.status_code == 200, await response.aread()
                    async for line in response.aiter_lines():
                        if not last:
                            begun.release()
                        last = line or last
                return last

            streams = [asyncio.create_task(follow(number)) for number in range(STREAMS)]
            async with asyncio.timeout(60):
                for _ in streams:
                    await begun.acquire()
            server.process.send_signal(signal.SIGTERM)
            told = time.monotonic()
            last_words = await asyncio.gather(*streams)
            code = await server.ends()
            ended_s = time.monotonic() - told
    codes = {json.loads(word.removeprefix("data: "))["error"]["code"] for word in last_words}
    assert codes == {"server_shutting_down"}
    assert code == 0, server.output
    print(f"{STREAMS} streams ended and the process gone after {ended_s:.2f} s")
    assert ended_s < 5
