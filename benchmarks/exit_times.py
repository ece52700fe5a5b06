"""SIGTERM with many streams open: when their readers have the last word, and when process and engine have ended.

Every host on every server, as the documents say they should be put together, and ``bodhi serve``. The model is one that
computes nothing, so that what is measured is the way out and not an engine at work.
"""

import asyncio
import json
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import httpx2

from benchmarks.interleave import Contender, Figures, Outcome, Report, interleave, limits, parser, table
from benchmarks.peers import new_token
from tests.hosts.matrix import CHAT, KINDS, SERVERS, Door, all_end, descendants, site
from tests.servers import Spawned, spawned

STREAMS = 30
SLOTS = 32
ALL_AT_ONCE = {"BODHI_ENGINE__QUEUE_LIMIT_PER_CALLER": "100"}
"""One caller has all streams, and asks for them before the model is loaded."""
QUESTION: dict[str, Any] = {
    "model": "parrot",
    "stream": True,
    # A millisecond for each stream and word: a minute, if nobody ended it.
    "messages": [{"role": "user", "content": "poison: sleep 0.001 " + "word " * 2000}],
}
ALONE = "bodhi serve"
SERVE = ("-m", "bodhi_asgi", "serve", "--port", "0", "--no-demo", "--model", "parrot=x")
TOLD = "told"
FIRST, LAST, ENDED = "first told, s", "last told, s", "ended, s"
WITHIN_S = 2.0


async def reader(door: Door, has_words: asyncio.Event) -> tuple[str, float]:
    """The last event of a stream, and when it came; every event is read, as a client would."""
    last, at = "", 0.0
    async with door.client.stream("POST", door.chat, json=QUESTION, headers=door.headers) as response:
        assert response.status_code == 200, await response.aread()
        with suppress(httpx2.RemoteProtocolError):  # cut, without a last word
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    last, at = line[6:], time.perf_counter()
                    has_words.set()
    return last, at


async def ends(process: Spawned, door: Door, streams: int) -> Figures:
    """Open all streams, wait until each has had words, say SIGTERM, and wait until nothing runs any more."""
    have_words = [asyncio.Event() for _ in range(streams)]
    async with asyncio.TaskGroup() as group:
        readers = [group.create_task(reader(door, has_words)) for has_words in have_words]
        async with asyncio.timeout(60):
            for has_words in have_words:
                await has_words.wait()
        family = descendants(process.process.pid)
        began = time.perf_counter()
        process.process.send_signal(signal.SIGTERM)
    found = [done.result() for done in readers]
    await all_end(family)
    ended_s = time.perf_counter() - began
    told_s = sorted(at - began for last, at in found if is_last_word(last))
    none = [float("nan")]
    return {TOLD: len(told_s), FIRST: (told_s or none)[0], LAST: (told_s or none)[-1], ENDED: ended_s}


def is_last_word(data: str) -> bool:
    """Whether an event is the error that says that the server stops."""
    found = json.loads(data) if data.startswith("{") else {}
    return bool(found.get("error", {}).get("code") == "server_shutting_down")


async def mounted(server: str, kind: str, streams: int) -> Figures:
    """One life of a host on a server."""
    attach = "wsgi" if server == "gunicorn" else "install"
    environment = {"SITE_SLOTS": str(SLOTS), "SITE_ISOLATION": "process", **ALL_AT_ONCE}
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        async with site(server, kind, attach, Path(folder), **environment) as (process, client):
            return await ends(process, Door(client, CHAT), streams)


async def alone(streams: int) -> Figures:
    """One life of our own server."""
    engine = {"RUNNER": "poison", "SLOTS": str(SLOTS), "N_CTX": str(4096 * SLOTS), "LINGER_S": "0"}
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        headers = new_token(Path(folder))
        environment = {f"BODHI_ENGINE__{name}": value for name, value in engine.items()}
        environment |= {"BODHI_DATA_DIR": folder, "PYTHONUNBUFFERED": "1", **ALL_AT_ONCE}
        async with spawned([sys.executable, *SERVE], environment) as process:
            address = await process.until(r"Serving on (http://\S+)")
            async with httpx2.AsyncClient(base_url=address, timeout=60) as client:
                return await ends(process, Door(client, "/v1/chat/completions", headers), streams)


def lives(servers: Sequence[str], hosts: Sequence[str], streams: int) -> dict[str, Callable[[], Awaitable[Figures]]]:
    """All that can be ended, by name."""
    found: dict[str, Callable[[], Awaitable[Figures]]] = {}
    for server in servers:
        for host in ("bridge",) if server == "gunicorn" else hosts:
            if server != ALONE and host in hosts:
                found[f"{server}, {host}"] = partial(mounted, server, host, streams)
    if ALONE in servers:
        found[ALONE] = partial(alone, streams)
    return found


def told(outcome: Outcome, streams: int) -> str:
    """The figures of each, and whether they are what was promised; the worst of the rounds decides."""
    if not outcome.rounds:
        return "no round was left undisturbed, so there are no figures"
    names = sorted(outcome.rounds[0])
    rows = [
        [name, f"{min(each[name][TOLD] for each in outcome.rounds):.0f} of {streams}"]
        + [f"{outcome.of(name, figure).median:.2f}" for figure in (FIRST, LAST, ENDED)]
        + [f"{max(each[name][ENDED] for each in outcome.rounds):.2f}"]
        for name in names
    ]
    lines = [table(["", "told", FIRST, LAST, ENDED, "slowest end, s"], rows), "", outcome.kept()]
    for name in names:
        is_told = all(each[name][TOLD] == streams for each in outcome.rounds)
        slowest = max(each[name][ENDED] for each in outcome.rounds)
        if not is_told or slowest > WITHIN_S:
            lines.append(f"MISS: {name}, {'all told' if is_told else 'not all told'}, ended after {slowest:.2f} s")
    return "\n".join(lines)


async def main() -> None:
    options = parser("SIGTERM with many streams open.", rounds=1, full_rounds=5)
    options.add_argument("--streams", type=int, default=STREAMS)
    options.add_argument("--server", action="append", choices=[*SERVERS, ALONE], help="this one only; more than once")
    options.add_argument("--host", action="append", choices=KINDS, help="this one only; more than once")
    asked = options.parse_args()
    report = Report(as_json=asked.json)
    all_lives = lives(asked.server or [*SERVERS, ALONE], asked.host or KINDS, asked.streams)
    outcome = await interleave([Contender(name, live) for name, live in all_lives.items()], limits(asked))
    report.add(f"SIGTERM with {asked.streams} streams open", outcome, told(outcome, asked.streams))
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
