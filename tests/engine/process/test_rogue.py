"""A host faces something else than our engine on the socket: it never trusts it, and it never hangs or breaks."""

import asyncio
import errno
import os
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import __version__
from bodhi_asgi.engine.process.connection import EngineConnection
from bodhi_asgi.engine.process.election import new_secret
from bodhi_asgi.engine.process.frames import HEADER, FrameReader, encode
from bodhi_asgi.engine.process.peer import send_signal
from bodhi_asgi.engine.process.protocol import PROTOCOL_VERSION, proof
from bodhi_asgi.engine.process.reading import ConnectionLost, EngineSilent
from bodhi_asgi.engine.process.runtime import EnginePaths, open_private
from bodhi_asgi.engine.types import ModelFacts, ModelSpec, Work
from bodhi_asgi.messages.conversation import TextPrompt
from bodhi_asgi.messages.generation import GenerateRequest
from tests.engine.process.support import paths_of

SPEC = ModelSpec("rogue", "nowhere", runner="echo")
CHALLENGE = {"op": "challenge", "nonce": "ab", "protocol": PROTOCOL_VERSION, "version": __version__}
WORK = Work("1", GenerateRequest("rogue", TextPrompt("hi")))

Play = Callable[["Stage"], Awaitable[None]]
Serve = Callable[[Play], Awaitable[EnginePaths]]


class Stage:
    """One accepted connection, to be misused."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, secret: bytes, key: str) -> None:
        self._reader = reader
        self.writer = writer
        self.secret = secret
        self.key = key
        self._frames = FrameReader()

    async def hear(self) -> dict[str, Any]:
        while True:
            data = await self._reader.read(65536)
            if not data:
                raise EOFError
            for message in self._frames.feed(data):
                return message

    def say(self, *messages: object) -> None:
        for message in messages:
            self.writer.write(encode(message))

    async def shake_hands(self) -> None:
        self.say(CHALLENGE)
        hello = await self.hear()
        answer = proof(self.secret, "engine", hello["nonce"], "ab", self.key)
        self.say({"op": "welcome", "proof": answer, "launch": "l"})


@pytest.fixture
async def serve(runtime_dir: Path) -> AsyncIterator[Serve]:
    servers: list[asyncio.Server] = []

    async def start(play: Play) -> EnginePaths:
        open_private(runtime_dir)
        paths = paths_of(runtime_dir, SPEC)
        secret = new_secret(paths.secret)

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            try:
                await play(Stage(reader, writer, secret, paths.key))
            except (EOFError, ConnectionError):
                pass
            finally:
                writer.close()

        servers.append(await asyncio.start_unix_server(connected, str(paths.socket)))
        return paths

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()


async def open_within_seconds(paths: EnginePaths) -> EngineConnection:
    async with asyncio.timeout(20):
        return await EngineConnection.open(paths, 0.0)


async def test_the_played_engine_is_accepted_when_it_behaves(serve: Serve) -> None:
    async def play(stage: Stage) -> None:
        await stage.shake_hands()
        stage.say({"op": "facts", "facts": ModelFacts(256, 512)})
        submit = await stage.hear()
        last = {"finish": "stop", "usage": {"prompt_tokens": 1, "completion_tokens": 1}}
        stage.say({"op": "chunks", "rows": [[submit["id"], "hi", last]]})

    connection = await open_within_seconds(await serve(play))
    assert await connection.facts == ModelFacts(256, 512)
    assert (await connection.submit(WORK, alone=False).next()).text == "hi"
    await connection.lost


@pytest.mark.parametrize(
    ("first", "why"),
    [
        ({**CHALLENGE, "protocol": PROTOCOL_VERSION + 1}, "another version"),
        ({**CHALLENGE, "version": "0.0.0"}, "another version"),
        ({"op": "welcome", "proof": "00", "launch": "l"}, "does not know the secret"),
        ({"op": "refused"}, "refused this process"),
        ({"op": "surprise"}, "malformed"),
        ({"no": "operation"}, "malformed"),
        ({**CHALLENGE, "nonce": None, "protocol": None}, "another version"),
    ],
)
async def test_a_wrong_greeting_ends_the_handshake_with_its_reason(
    serve: Serve, first: dict[str, object], why: str
) -> None:
    async def play(stage: Stage) -> None:
        stage.say(first)
        await stage.hear()

    with pytest.raises(ConnectionLost, match=why):
        await open_within_seconds(await serve(play))


async def test_an_engine_without_the_secret_is_not_believed(serve: Serve) -> None:
    async def play(stage: Stage) -> None:
        stage.secret = b"guessed"
        await stage.shake_hands()
        await stage.hear()

    with pytest.raises(ConnectionLost, match="does not know the secret"):
        await open_within_seconds(await serve(play))


async def test_an_engine_cannot_send_the_host_s_own_proof_back(serve: Serve) -> None:
    async def play(stage: Stage) -> None:
        stage.say(CHALLENGE)
        hello = await stage.hear()
        stage.say({"op": "welcome", "proof": hello["proof"], "launch": "l"})
        await stage.hear()

    with pytest.raises(ConnectionLost, match="does not know the secret"):
        await open_within_seconds(await serve(play))


async def test_a_withdrawn_secret_ends_the_handshake(serve: Serve) -> None:
    async def play(stage: Stage) -> None:
        paths.secret.unlink()
        stage.say(CHALLENGE)
        await stage.hear()

    paths = await serve(play)
    with pytest.raises(ConnectionLost, match="withdrew its secret"):
        await open_within_seconds(paths)


async def test_a_silent_engine_does_not_hold_the_handshake(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(stage: Stage) -> None:
        await stage.hear()

    monkeypatch.setattr("bodhi_asgi.engine.process.connection.HANDSHAKE_S", 0.05)
    with pytest.raises(ConnectionLost, match="did not answer"):
        await open_within_seconds(await serve(play))


async def test_a_host_whose_own_loop_stood_still_does_not_call_the_engine_silent(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever is silent twice is killed, and a healthy engine serves other hosts too."""

    async def play(stage: Stage) -> None:
        threading.Event().wait(0.3)  # host and played engine share their loop
        await stage.hear()

    monkeypatch.setattr("bodhi_asgi.engine.process.connection.HANDSHAKE_S", 0.1)
    with pytest.raises(ConnectionLost, match="own event loop was held up") as lost:
        await open_within_seconds(await serve(play))
    assert not isinstance(lost.value, EngineSilent)


async def test_whose_process_it_is_is_asked_of_the_kernel(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signals go by it, and an engine in another container knows itself by another number."""

    async def play(stage: Stage) -> None:
        await stage.shake_hands()
        await stage.hear()

    paths = await serve(play)
    ours = await open_within_seconds(paths)
    assert ours.pid == os.getpid()
    monkeypatch.setattr("bodhi_asgi.engine.process.connection.peer_pid", lambda _: 0)
    foreign = await open_within_seconds(paths)
    assert foreign.pid == 0
    for connection in (ours, foreign):
        connection.abort()
        await connection.lost


def test_a_process_that_has_no_number_here_is_sent_nothing() -> None:
    code = f"from {send_signal.__module__} import send_signal; send_signal(0, 9); print('alive')"
    # In a session of its own, because a signal to 0 would end everybody in it.
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, start_new_session=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "alive\n")


async def test_a_host_without_descriptors_left_is_told_so_and_not_left_waiting(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    def exhausted(_: int) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

    async def play(stage: Stage) -> None:
        await stage.shake_hands()
        await stage.hear()

    paths = await serve(play)
    monkeypatch.setattr(os, "dup", exhausted)
    with pytest.raises(ConnectionLost, match="Too many open files"):
        await open_within_seconds(paths)


async def test_a_handshake_that_is_cancelled_closes_its_connection(serve: Serve) -> None:
    came, gone = asyncio.Event(), asyncio.Event()

    async def play(stage: Stage) -> None:
        came.set()
        try:
            await stage.hear()
        except EOFError:
            gone.set()

    opening = asyncio.ensure_future(open_within_seconds(await serve(play)))
    async with asyncio.timeout(20):
        await came.wait()
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
        await gone.wait()


GARBAGE = {
    "no JSON": HEADER.pack(4) + b"\xff\xff\xff\xff",
    "too long": HEADER.pack(2**32 - 1),
    "no object": HEADER.pack(2) + b"[]",
    "unknown operation": encode({"op": "surprise"}),
    "rows of no shape": encode({"op": "chunks", "rows": [[1]]}),
    "rows of nothing": encode({"op": "chunks", "rows": 3}),
    "an unknown finish": encode({"op": "chunks", "rows": [[1, "", {"finish": "whim"}]]}),
    "an error of no shape": encode({"op": "chunks", "rows": [[1, "", {"error": {"code": "x"}}]]}),
    "facts of no shape": encode({"op": "facts", "facts": {"n_ctx": "many"}}),
    "an id that is no id": encode({"op": "started", "id": [1]}),
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_garbage_ends_the_connection_and_tells_every_reader(serve: Serve, garbage: bytes) -> None:
    async def play(stage: Stage) -> None:
        await stage.shake_hands()
        await stage.hear()
        stage.writer.write(garbage)
        await stage.hear()

    connection = await open_within_seconds(await serve(play))
    reading = connection.submit(WORK, alone=False)
    asking = asyncio.ensure_future(connection.ask("stats"))
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionLost, match="malformed"):
            await reading.next()
        with pytest.raises(ConnectionLost, match="malformed"):
            await asking
        with pytest.raises(ConnectionLost, match="malformed"):
            await connection.facts
    with pytest.raises(ConnectionLost):
        connection.submit(WORK, alone=False)
    with pytest.raises(ConnectionLost):
        await connection.ask("stats")
    reading.close()


async def test_a_half_frame_at_the_end_is_named(serve: Serve) -> None:
    async def play(stage: Stage) -> None:
        await stage.shake_hands()
        await stage.hear()
        stage.writer.write(HEADER.pack(100) + b'{"op"')
        await stage.writer.drain()

    connection = await open_within_seconds(await serve(play))
    reading = connection.submit(WORK, alone=False)
    async with asyncio.timeout(20):
        with pytest.raises(ConnectionLost, match="middle of a frame"):
            await reading.next()


async def test_what_came_before_the_end_is_still_read(serve: Serve) -> None:
    async def play(stage: Stage) -> None:
        await stage.shake_hands()
        submit = await stage.hear()
        stage.say({"op": "started", "id": submit["id"]}, {"op": "chunks", "rows": [[submit["id"], "a"], [99, "b"]]})
        stage.say({"op": "leaving", "reason": "idle"})

    connection = await open_within_seconds(await serve(play))
    reading = connection.submit(WORK, alone=False)
    lost = await connection.lost
    assert lost.in_order == "idle"
    assert reading.has_started
    assert (await reading.next()).text == "a"
    with pytest.raises(ConnectionLost):
        await reading.next()
