"""One process of a host on a server, asked everything that a guest has to answer for, from its start to its end.

A process for each host, way to attach and server: starting it costs most, so no question has one of its own.
"""

import asyncio
import json
import re
import signal
import socket
import struct
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from tests.servers import Spawned, spawned

KINDS = ("starlette", "fastapi", "litestar", "quart", "django", "bridge")
ATTACHES = ("lifespan", "install", "none")
CHAT = "/bodhi/v1/chat/completions"
LONG: dict[str, Any] = {
    "model": "parrot", "stream": True,
    "messages": [{"role": "user", "content": "poison: sleep 0.02 " + "word " * 1500}],
}  # fmt: skip
AS_ANN = {"x-user": "ann"}
CSRF = "x" * 32
CUT = {("hypercorn", "bridge", "lifespan"), ("hypercorn", "bridge", "none")}
"""Where a stream that the server cancels has no last word: nobody of ours stands in front of Django and is told of it,
and hypercorn closes the connection as soon as Django has let go."""
AT_ONCE_S = 0.3
TRIES = 5
APP = "tests.hosts.site:app"
HAS_ENDED_S = 12.0
"""Below the 30 s that the stream would go on for, so that it is known who ended it."""
ENDS_S = 2.0
"""From SIGTERM to the end of the process, with a stream open. What each server takes stands in ``docs/hosts.md``."""
OF_ITS_START = 0.5
"""The end of a process is mostly Python putting away what it imported, a quarter of what the start takes; where a
machine is so slow that half of the start is longer than the two seconds, that much is allowed."""
LIVES = 3


@dataclass(frozen=True)
class Server:
    """How one is started, and how it says where it listens.

    ``needs_signals`` is one that waits for the ends of open streams and does not say so. ``waits_s`` is what it waits
    for itself, before it cancels or looks.
    """

    command: Sequence[str]
    running: str
    knows_lifespans: bool = True
    needs_signals: bool = False
    waits_s: float = 0.0


HYPERCORN = ("hypercorn", APP, "--bind", "127.0.0.1:0")
HYPERCORN_RUNS = r"Running on (http://127\.0\.0\.1:\d+)"
SERVERS = {
    "uvicorn": Server(("uvicorn", APP, "--port", "0"), r"running on (http://127\.0\.0\.1:\d+)"),
    "hypercorn": Server((*HYPERCORN, "--graceful-timeout", "1"), HYPERCORN_RUNS, waits_s=1.0),
    "hypercorn alone": Server(
        (*HYPERCORN, "--graceful-timeout", "60", "--workers", "0"), HYPERCORN_RUNS, needs_signals=True
    ),
    "daphne": Server(
        ("daphne", "-b", "127.0.0.1", "-p", "0", APP),
        r"Listening on TCP address (127\.0\.0\.1:\d+)",
        knows_lifespans=False,
    ),
    "granian": Server(
        ("granian", "--interface", "asgi", "--uds", "{folder}/site.sock", APP),
        r"Started worker-(\d+)",
        needs_signals=True,
    ),
    "gunicorn": Server(
        ("gunicorn", APP, "--bind", "127.0.0.1:0", "--threads", "32", "--keep-alive", "0"),
        r"Listening at: (http://127\.0\.0\.1:\d+)",
        knows_lifespans=False,
        waits_s=1.0,
    ),
}


@dataclass(frozen=True)
class Figures:
    """What was measured on the way, in seconds; the end from SIGTERM on."""

    started_s: float
    cancelled_s: float
    last_word_s: float
    ended_s: float

    def are_in_time(self, server: Server) -> bool:
        """Whether the process has ended as soon as it should."""
        return self.ended_s <= max(ENDS_S, server.waits_s + OF_ITS_START * self.started_s)


@dataclass(frozen=True)
class Door:
    """A way to our chat, and to what the server is at work on."""

    client: httpx2.AsyncClient
    chat: str = CHAT
    headers: Mapping[str, str] = field(default_factory=lambda: AS_ANN)

    async def runs(self) -> bool:
        return bool((await self.client.get("/facts")).json()["running"])

    def asked(self) -> Any:
        """A stream that would go on for 30 s."""
        return self.client.stream("POST", self.chat, json=LONG, headers=self.headers)


def environment_of(kind: str, attach: str, folder: Path) -> dict[str, str]:
    """What ``site`` reads, with its data below a folder."""
    return {
        "SITE_KIND": kind,
        "SITE_ATTACH": attach,
        "SITE_FOLDER": str(folder / "data"),
        "SITE_ISOLATION": "process" if attach == "install" else "thread",
        "SITE_SLOTS": "4",
        "PYTHONUNBUFFERED": "1",
    }


@asynccontextmanager
async def site(
    server: str, kind: str, attach: str, folder: Path, **more: str
) -> AsyncIterator[tuple[Spawned, httpx2.AsyncClient]]:
    environment = environment_of(kind, attach, folder) | more
    if SERVERS[server].needs_signals:
        environment["SITE_SIGNALS"] = "yes"
    command = [sys.executable, "-m", *(part.format(folder=folder) for part in SERVERS[server].command)]
    async with spawned(command, environment) as process:
        where = await process.until(SERVERS[server].running)
        if server == "granian":
            # It says that it has started a moment before it listens.
            transport = httpx2.AsyncHTTPTransport(uds=str(folder / "site.sock"), retries=6)
            client = httpx2.AsyncClient(transport=transport, base_url="http://localhost", timeout=60)
        else:
            client = httpx2.AsyncClient(base_url=where if "://" in where else f"http://{where}", timeout=60)
        if kind == "bridge":  # who is not known by a token needs Django's against forged requests
            client.cookies.set("csrftoken", CSRF)
            client.headers["x-csrftoken"] = CSRF
        async with client:
            yield process, client


async def whole_life(server: str, kind: str, attach: str, folder: Path) -> Figures:
    """Start it, ask it everything, end it. Raises AssertionError."""
    return await in_time(SERVERS[server], folder, lambda each: one_life(server, kind, attach, each))


async def in_time(server: Server, folder: Path, live: Callable[[Path], Awaitable[Figures]]) -> Figures:
    """The figures of a life; of another one where a busy machine has held up the end. Raises AssertionError."""
    all_figures = []
    for number in range(LIVES):
        each = folder / str(number)
        each.mkdir()
        all_figures.append(await live(each))
        print(all_figures[-1])  # the figures of docs/hosts.md: pytest -s
        if all_figures[-1].are_in_time(server):
            return all_figures[-1]
    raise AssertionError(f"the process ended late, each time: {all_figures}")


async def one_life(server: str, kind: str, attach: str, folder: Path) -> Figures:
    began_s = time.monotonic()
    async with site(server, kind, attach, folder) as (process, client):
        started_s = time.monotonic() - began_s
        await _the_host_is_as_it_was(client, kind, attach, server)
        await _failures_stay_inside(client)
        cancelled_s = await a_client_that_goes_is_heard(Door(client), resets=attach == "none")
        told = (await client.get("/facts")).json()
        assert (told["opened"], told["handled"], told["status"]) == (1, [], "ready")
        last_word_s, ended_s = await it_ends_with_a_last_word(
            process, Door(client), is_cut=(server, kind, attach) in CUT
        )
        output = process.output
        assert "response already started" not in output
        is_run = SERVERS[server].knows_lifespans and attach != "none"
        assert ("starts with its first request" in output) is not (is_run or attach == "wsgi"), output
        if is_run or server == "daphne":  # whose reactor asks us before it stops
            assert output.count("bodhi is closed") == 1, output
        if is_run:
            assert ("the host starts and bodhi is ready" in output) is (kind not in ("django", "bridge")), output
        return Figures(started_s, cancelled_s, last_word_s, ended_s)


async def _the_host_is_as_it_was(client: httpx2.AsyncClient, kind: str, attach: str, server: str) -> None:
    assert (await client.get("/")).text == "the host's own page"
    assert (await client.get("/bodhi/ping")).json() == {"message": "pong"}
    assert (await client.get("/bodhi/v1/models")).status_code == 401
    await client.get("/login")
    before = (await client.get("/state")).json()
    answer = await client.post(CHAT, json={**LONG, "stream": False, "messages": HELLO}, headers=AS_ANN)
    assert answer.json()["choices"][0]["message"]["content"] == "hello there"
    assert (await client.get("/ask")).text == "hello there"
    assert (await client.get("/who")).json() == {"user": "ann"}
    after = (await client.get("/state")).json()
    assert after == before
    has_state = SERVERS[server].knows_lifespans and kind in ("starlette", "fastapi")
    if attach == "install" or (attach == "lifespan" and has_state):
        assert after["bodhi"] is True
    if has_state:
        assert "host" in after["keys"]


HELLO = [{"role": "user", "content": "hello there"}]


async def _failures_stay_inside(client: httpx2.AsyncClient) -> None:
    answer = await client.get("/bodhi/v1/models", headers={"x-user": "explode"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "identity_failed")
    answer = await client.get("/bodhi/v1/nothing", headers=AS_ANN)
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "invalid_request_error")


async def a_client_that_goes_is_heard(door: Door, *, resets: bool = False) -> float:
    """Seconds from leaving in the middle of an answer to an engine that is idle: the best of several.

    The client says goodbye, or ``resets`` the connection as one does that is killed.
    """
    best_s = float("inf")
    for _ in range(TRIES):
        async with door.asked() as response:
            lines = response.aiter_lines()  # held, because the response is closed with it
            await _first_words(lines)
            assert await door.runs(), "the answer takes 30 s"
            if resets:
                connection = response.extensions["network_stream"].get_extra_info("socket")
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        left_s = time.monotonic()
        async with asyncio.timeout(20):
            while await door.runs():
                pass
        best_s = min(best_s, time.monotonic() - left_s)
        if best_s < AT_ONCE_S:
            return best_s
    raise AssertionError(f"the engine heard of it after {best_s:.2f} s at best")


async def _first_words(lines: Any) -> None:
    async with asyncio.timeout(20):
        async for line in lines:
            if '"content":"' in line.replace(" ", "") and '"content":""' not in line.replace(" ", ""):
                return
    raise AssertionError("the stream ended without a word")


async def it_ends_with_a_last_word(process: Spawned, door: Door, *, is_cut: bool = False) -> tuple[float, float]:
    """Seconds from SIGTERM to the last word of an open stream, and to the end of the process with all its children.

    ``is_cut`` is a stream that the host closes when its server cancels it, without asking for a last word.
    """
    family = descendants(process.process.pid)
    async with door.asked() as response:
        lines = response.aiter_lines()
        await _first_words(lines)
        began_s = time.monotonic()
        process.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(HAS_ENDED_S):
            rest = [""]
            with suppress(httpx2.RemoteProtocolError) if is_cut else nullcontext():
                rest += [line async for line in lines if line.startswith("data: ")]
        last_word_s = time.monotonic() - began_s
    assert is_cut or json.loads(rest[-1][6:])["error"]["code"] == "server_shutting_down", rest[-1]
    async with asyncio.timeout(HAS_ENDED_S):
        await process.process.wait()
    ended_s = time.monotonic() - began_s
    await all_end(family)
    return last_word_s, ended_s


async def all_end(pids: set[int]) -> None:
    """Wait until none of these processes runs any more."""
    async with asyncio.timeout(30):
        while any(is_alive(pid) for pid in pids):
            await asyncio.sleep(0.005)


def descendants(pid: int) -> set[int]:
    """A process and all that it and its children have started."""
    found, unseen = {pid}, [pid]
    while unseen:
        for path in Path(f"/proc/{unseen.pop()}/task").glob("*/children"):
            try:
                new = {int(child) for child in path.read_text().split()} - found
            except OSError:
                continue
            found |= new
            unseen += new
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that nobody has asked for its exit code does not."""
    try:
        state = re.search(r"\) (\w)", Path(f"/proc/{pid}/stat").read_text())
    except OSError:
        return False
    return state is not None and state.group(1) != "Z"
