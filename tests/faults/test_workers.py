"""Several workers and the command line on one data directory share one engine per model, whoever of them dies."""

import asyncio
import os
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.faults.conftest import AS_ANN, Host
from tests.faults.engines import announced, becomes_true, never_two
from tests.servers import ROOT

SERVERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "uvicorn": ("uvicorn", ("--port", "0", "--workers", "4")),
    "gunicorn": ("gunicorn", ("--bind", "127.0.0.1:0", "--workers", "4", "-k", "uvicorn_worker.UvicornWorker")),
}
WORKERS = 4


@pytest.fixture(params=SERVERS)
def server(request: pytest.FixtureRequest) -> tuple[str, tuple[str, ...]]:
    return SERVERS[request.param]


def chat(model: str, text: str) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}]}


class Visitor:
    """Asks over a connection of its own each time, so that the workers take turns."""

    def __init__(self, client: httpx2.AsyncClient) -> None:
        self._base = client.base_url

    async def ask(self, model: str, text: str, *, user: str = AS_ANN["x-user"]) -> str:
        async with httpx2.AsyncClient(base_url=self._base, timeout=60, headers={"x-user": user}) as client:
            answer = await client.post("/bodhi/v1/chat/completions", json=chat(model, text))
        assert answer.status_code == 200, answer.text
        return str(answer.json()["choices"][0]["message"]["content"])

    async def herd(self, model: str, text: str) -> set[str]:
        """What 32 requests of four callers at once are answered."""
        return set(await asyncio.gather(*(self.ask(model, text, user=f"user{n % 4}") for n in range(32))))

    async def worker(self) -> int:
        """The process that answered."""
        async with httpx2.AsyncClient(base_url=self._base, timeout=60) as client:
            return int((await client.get("/")).text)

    async def workers(self) -> set[int]:
        """All of them, once each has answered."""
        found: set[int] = set()
        async with asyncio.timeout(60):
            while len(found) < WORKERS:
                found |= set(await asyncio.gather(*(self.worker() for _ in range(8))))
        return found


@pytest.mark.timeout(300)
async def test_four_workers_and_the_command_line_share_one_engine(
    host: Host, root: Path, server: tuple[str, tuple[str, ...]]
) -> None:
    module, options = server
    async with host(*options, server=module) as (_, client):
        visitor = Visitor(client)
        workers = await visitor.workers()
        watch = asyncio.create_task(never_two(root))
        # A herd at a model that nobody has started.
        assert await visitor.herd("m0", "hello there") == {"hello there"}
        (pid,) = announced(root).values()
        said = await run_by_command_line(root, "m0", "hello from the terminal")
        assert said.strip() == "hello from the terminal"
        assert announced(root) == {"m0": pid}
        # A worker dies in the middle of an answer: its slot is free, the engine and the other workers stay.
        victim = next(iter(workers))
        slow = [asyncio.create_task(visitor.ask("m0", f"poison: sleep 0.05 {n} " + "a " * 40)) for n in range(4)]
        os.kill(victim, signal.SIGKILL)
        await asyncio.gather(*slow, return_exceptions=True)
        replaced = await visitor.workers()
        assert victim not in replaced
        assert await visitor.ask("m0", "still here") == "still here"
        assert announced(root) == {"m0": pid}
        # The engine dies: whoever comes first starts the one that all use.
        os.kill(pid, signal.SIGKILL)
        assert await visitor.herd("m0", "back again") == {"back again"}
        (after,) = announced(root).values()
        assert after != pid
        assert not watch.done(), watch.exception()
        watch.cancel()


@pytest.mark.timeout(300)
async def test_no_engine_is_left_when_server_and_workers_are_killed(
    host: Host, root: Path, server: tuple[str, tuple[str, ...]]
) -> None:
    module, options = server
    async with host(*options, server=module) as (process, client):
        visitor = Visitor(client)
        workers = await visitor.workers()
        await asyncio.gather(*(visitor.ask(f"m{n % 3}", "hello") for n in range(16)))
        assert set(announced(root)) == {"m0", "m1", "m2"}
        for pid in (process.process.pid, *workers):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await becomes_true(lambda: not announced(root), within_s=10)


@pytest.mark.timeout(300)
async def test_turns_are_fair_between_callers_of_all_workers(host: Host, root: Path) -> None:
    module, options = SERVERS["uvicorn"]
    async with host(*options, server=module) as (_, client):
        visitor = Visitor(client)
        await visitor.workers()
        served: Counter[str] = Counter()

        async def keep_asking(user: str) -> None:
            while True:
                await visitor.ask("m0", "poison: sleep 0.003 " + "word " * 20, user=user)
                served[user] += 1

        # One caller with twelve requests at a time, one with two, one with one: four slots.
        asking = [asyncio.create_task(keep_asking(user)) for user in ["greedy"] * 12 + ["modest"] * 2 + ["single"]]
        await becomes_true(lambda: served["single"] >= 30, within_s=120)
        for task in asking:
            task.cancel()
        ended = await asyncio.gather(*asking, return_exceptions=True)
    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
    # With one request at a time the single caller has one of four slots, the modest up to two, and they keep them.
    assert served["greedy"] < 4 * served["single"], served
    assert served["modest"] > served["single"], served


async def run_by_command_line(root: Path, model: str, text: str) -> str:
    """``bodhi run`` as a process, with the settings of the host."""
    settings = {
        "BODHI_DATA_DIR": str(root / "data"),
        "BODHI_MODELS": '{"m0": "nowhere"}',
        "BODHI_DEMO": "false",
        "BODHI_ENGINE__RUNNER": "poison",
        "BODHI_ENGINE__N_CTX": "4096",
        "BODHI_ENGINE__SLOTS": "4",
        "BODHI_ENGINE__LINGER_S": "1",
        "XDG_RUNTIME_DIR": str(root),
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bodhi_asgi", "run", model, text),
        cwd=ROOT,
        env={**os.environ, **settings},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()
