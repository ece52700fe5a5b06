"""What an engine accepts on its socket: one of the house, in the right order; and a bad neighbour harms nobody."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import cast

import orjson
import pytest

from bodhi_asgi.engine.process.connection import EngineConnection
from bodhi_asgi.engine.process.frames import HEADER
from bodhi_asgi.engine.process.protocol import proof
from bodhi_asgi.engine.process.reading import ConnectionLost
from bodhi_asgi.engine.process.session import Server, Session
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import ECHO, LONG, answer, paths_of, work
from tests.engine.process.wire import Wire

Connect = Callable[[], Awaitable[Wire]]


@pytest.fixture
async def connect(make_engine: MakeEngine, runtime_dir: Path) -> Connect:
    """Connections to a standing engine that somebody else uses too."""
    engine = make_engine(ECHO)
    await engine.start()

    async def open_one() -> Wire:
        return await Wire.open(runtime_dir)

    return open_one


async def test_who_knows_the_secret_is_served(connect: Connect, runtime_dir: Path) -> None:
    wire = await connect()
    await wire.shake_hands()
    assert (await wire.hear("facts"))["facts"]["n_ctx"] > 0
    wire.say({"op": "ping", "id": 1})
    assert (await wire.hear("pong"))["id"] == 1
    wire.say({"op": "describe", "id": 2})
    description = await wire.hear("description")
    assert (description["hosts"], description["spec"]["name"]) == (2, "echo")
    wire.say({"op": "submit", "id": 3, "work": work(), "alone": False})
    assert (await wire.hear("started"))["id"] == 3
    assert (await wire.hear("chunks"))["rows"]
    wire.say({"op": "bye", "id": 4})
    assert await wire.hear("bye") == {"op": "bye", "id": 4, "leaving": False}
    assert await wire.is_hung_up()
    await wire.close()


@pytest.mark.parametrize("changed", [{"proof": "00" * 32}, {"proof": None}, {"proof": 1}, {"nonce": "other"}])
async def test_who_does_not_know_the_secret_is_refused(
    connect: Connect, runtime_dir: Path, changed: dict[str, object]
) -> None:
    wire = await connect()
    with pytest.raises(EOFError):
        await wire.shake_hands(**changed)
    await wire.close()


async def test_an_earlier_proof_is_worth_nothing(connect: Connect, runtime_dir: Path) -> None:
    first, second = await connect(), await connect()
    challenge = await first.hear("challenge")
    paths = paths_of(runtime_dir, ECHO)
    heard = proof(paths.secret.read_bytes(), "host", "n", challenge["nonce"], paths.key)
    with pytest.raises(EOFError):
        await second.shake_hands(proof=heard)
    for wire in (first, second):
        await wire.close()


SUBMIT = {"op": "submit", "id": 1, "work": orjson.loads(orjson.dumps(work())), "alone": False}
BEFORE_HELLO = [{"op": "stats", "id": 1}, SUBMIT, {"op": "bye", "id": 1}, {}, {"op": "hello"}, {"op": ["hello"]}]
AFTER_HELLO = [
    {"op": "load", "path": "/etc/passwd"},
    {"op": "hello", "nonce": "n", "proof": "", "linger_s": 0},
    {**SUBMIT, "id": -1},
    {**SUBMIT, "id": "1"},
    {**SUBMIT, "id": True},
    {**SUBMIT, "work": {"id": "1"}},
    {**SUBMIT, "work": {**SUBMIT["work"], "surprise": 1}},
    {"op": "credit", "id": 1},
    {"op": "credit", "id": 1, "chunks": -5},
    {"op": "cancel"},
    {"op": None},
]


@pytest.mark.parametrize("message", BEFORE_HELLO)
async def test_nothing_but_a_greeting_is_taken_first(connect: Connect, message: dict[str, object]) -> None:
    wire = await connect()
    wire.say(message)
    assert await wire.is_hung_up()
    await wire.close()


@pytest.mark.parametrize("message", AFTER_HELLO)
async def test_a_malformed_operation_ends_that_connection_only(
    connect: Connect, runtime_dir: Path, message: dict[str, object]
) -> None:
    wire, other = await connect(), await connect()
    await other.shake_hands()
    await wire.shake_hands()
    wire.say(message)
    assert await wire.is_hung_up()
    other.say({"op": "ping", "id": 1})
    await other.hear("pong")
    for each in (wire, other):
        await each.close()


async def test_one_number_cannot_be_used_twice_at_once(connect: Connect, runtime_dir: Path) -> None:
    wire = await connect()
    await wire.shake_hands()
    wire.say({**SUBMIT, "work": work(LONG)})
    wire.say({**SUBMIT, "work": work(LONG)})
    assert await wire.is_hung_up()
    await wire.close()


async def test_words_about_requests_that_are_over_are_ignored(connect: Connect, runtime_dir: Path) -> None:
    wire = await connect()
    await wire.shake_hands()
    wire.say({"op": "credit", "id": 77, "chunks": 3})
    wire.say({"op": "cancel", "id": 77})
    wire.say({"op": "ping", "id": 1})
    await wire.hear("pong")
    await wire.close()


@pytest.mark.parametrize("garbage", [b"GET / HTTP/1.1\r\n\r\n", HEADER.pack(2**32 - 1), HEADER.pack(3) + b"abc"])
async def test_garbage_and_half_frames_end_that_connection_and_no_other(
    make_engine: MakeEngine, runtime_dir: Path, garbage: bytes
) -> None:
    engine = make_engine(ECHO)
    async with aclosing(engine.submit(work(LONG))) as deltas:
        await anext(deltas)
        before, after, half = [await Wire.open(runtime_dir) for _ in range(3)]
        before.say_raw(garbage)
        assert await before.is_hung_up()
        await after.shake_hands()
        after.say_raw(garbage)
        assert await after.is_hung_up()
        await half.shake_hands()
        half.say_raw(HEADER.pack(100) + b'{"op":')
        for wire in (before, after, half):
            await wire.close()
        async for delta in deltas:
            last = delta
    assert last.finish is not None
    assert await answer(engine, work()) != ""


async def test_the_end_of_a_connection_cancels_its_requests(make_engine: MakeEngine, runtime_dir: Path) -> None:
    engine = make_engine(ECHO)
    await engine.start()
    wire = await Wire.open(runtime_dir)
    await wire.shake_hands()
    for number in range(4):
        wire.say({"op": "submit", "id": number, "work": work(LONG), "alone": False})
    async with asyncio.timeout(20):
        while (await engine.stats()).running < 4:
            await asyncio.sleep(0.01)
    await wire.close()
    async with asyncio.timeout(20):
        while (await engine.stats()).running:
            await asyncio.sleep(0.01)
    assert (await engine.stats()).slots_used == 0


STRANGER = """
import os, socket, sys
os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
try:
    connection.connect(sys.argv[1])
    print("hung up" if connection.recv(1) == b"" else "greeted")
except PermissionError:
    print("kept out")
except ConnectionResetError:
    print("hung up")
"""


async def test_another_user_is_kept_out_by_the_directory_and_not_greeted_without_it(
    connect: Connect, runtime_dir: Path
) -> None:
    if os.getuid() != 0:
        return  # nobody but root can become somebody else; the next test asks the same of the check itself
    path = paths_of(runtime_dir, ECHO).socket

    async def stranger() -> str:
        run = await asyncio.to_thread(
            subprocess.run, [sys.executable, "-c", STRANGER, str(path)], capture_output=True, text=True, check=True
        )
        return run.stdout.strip()

    assert await stranger() == "kept out"
    path.chmod(0o666)
    runtime_dir.chmod(0o711)
    runtime_dir.parent.chmod(0o711)
    assert await stranger() == "hung up"


async def test_both_sides_ask_whose_process_is_at_the_other_end(
    connect: Connect, runtime_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = os.getuid()
    monkeypatch.setattr(os, "getuid", lambda: ours + 1)
    with pytest.raises(ConnectionLost, match="another user"):
        await EngineConnection.open(paths_of(runtime_dir, ECHO), 0.0)
    engine_end, host_end = socket.socketpair()
    with host_end:
        # Turned away before the engine behind it is asked for anything, so there need be none.
        server = cast("Server", None)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: Session(server, 1), engine_end)
        host_end.setblocking(False)
        async with asyncio.timeout(20):
            assert await asyncio.get_running_loop().sock_recv(host_end, 1) == b""
