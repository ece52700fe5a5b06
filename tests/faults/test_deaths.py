"""Engines die in every way and at any moment; their host does not notice, and whoever asks next is served."""

import asyncio
import json
import os
import random
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.faults.conftest import Host
from tests.faults.engines import announced, becomes_true, never_two

MODELS = [f"m{number}" for number in range(6)]
SOAK = os.environ.get("SOAK") == "1"
DEATHS = 1000 if SOAK else 300
WAYS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT)
STOPS_OF_HUNDRED = 4
RECOVERY_S = 2.0
START_S = 1.5
"""What starting an engine takes beside five others on two cores: the load that recovery is allowed on top."""


def chat(model: str, text: str, **options: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], **options}


class Storm:
    """One client per model: asks, kills the model's engine at a random moment, hears the end, asks again."""

    def __init__(self, client: httpx2.AsyncClient, root: Path) -> None:
        self.client = client
        self.root = root
        self.dice = random.Random(11)
        self.deaths = 0
        self.recovered_s: list[float] = []
        self.outcomes: dict[str, int] = {}

    async def rage(self, model: str) -> None:
        url = "/bodhi/v1/chat/completions"
        while self.deaths < DEATHS:
            text = f"poison: sleep 0.004 {self.dice.random()} " + "word " * 80
            stream = asyncio.create_task(self._stream(url, chat(model, text, stream=True)))
            await asyncio.sleep(self.dice.uniform(0, 0.4))
            is_stopped = self._kill(model)
            outcome = await stream
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + 1
            began = time.monotonic()
            answer = await self.client.post(url, json=chat(model, "are you back"))
            assert answer.status_code == 200, answer.text
            assert answer.json()["choices"][0]["message"]["content"] == "are you back"
            if not is_stopped:
                self.recovered_s.append(time.monotonic() - began)

    def _kill(self, model: str) -> bool:
        pid = announced(self.root).get(model)
        way = signal.SIGSTOP if self.dice.randrange(100) < STOPS_OF_HUNDRED else self.dice.choice(WAYS)
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, way)
                self.deaths += 1
        return way == signal.SIGSTOP

    async def _stream(self, url: str, body: dict[str, Any]) -> str:
        """How a stream ended: ``whole``, or the code of the error that it ended with."""
        async with self.client.stream("POST", url, json=body) as response:
            if response.status_code != 200:
                return str(json.loads(await response.aread())["error"]["code"])
            last = ""
            async for line in response.aiter_lines():
                last = line or last
        if last == "data: [DONE]":
            return "whole"
        return str(json.loads(last.removeprefix("data: "))["error"]["code"])


@pytest.mark.timeout(3600 if SOAK else 900)
async def test_engines_die_and_nobody_but_their_own_streams_hears_of_it(host: Host, root: Path) -> None:
    async with host("--port", "0") as (process, client):
        first = await client.get("/")
        pages: list[float] = []

        async def visit() -> None:
            while True:
                began = time.monotonic()
                page = await client.get("/")
                pages.append(time.monotonic() - began)
                assert (page.status_code, page.text) == (200, first.text)
                await asyncio.sleep(0.02)

        watching = [asyncio.create_task(visit()), asyncio.create_task(never_two(root))]
        storm = Storm(client, root)
        await asyncio.gather(*(storm.rage(model) for model in MODELS))
        for task in watching:
            assert not task.done() or task.exception() is None
            task.cancel()
        assert process.process.returncode is None
        assert (await client.get("/")).text == first.text

    assert storm.deaths >= DEATHS
    # A request that had said nothing is tried again unseen; one that had, ends with a word that says so.
    assert set(storm.outcomes) <= {"whole", "engine_lost"}, storm.outcomes
    assert storm.outcomes["engine_lost"] > DEATHS / 20
    recovered = sorted(storm.recovered_s)
    print(
        f"{storm.deaths} deaths, {storm.outcomes}, recovery median {recovered[len(recovered) // 2]:.2f} s,"
        f" p99 {recovered[int(len(recovered) * 0.99)]:.2f} s, largest {recovered[-1]:.2f} s;"
        f" {len(pages)} pages, slowest {max(pages):.3f} s"
    )
    assert recovered[int(len(recovered) * 0.95)] < RECOVERY_S + START_S


async def test_no_engine_outlives_a_host_that_is_killed(host: Host, root: Path) -> None:
    async with host("--port", "0") as (process, client):
        answer = await client.post("/bodhi/v1/chat/completions", json=chat("m0", "hello there"))
        assert answer.status_code == 200
        stream = asyncio.create_task(
            client.post("/bodhi/v1/chat/completions", json=chat("m1", "poison: sleep 1 a b c d e f g h i j k"))
        )
        await becomes_true(lambda: set(announced(root)) == {"m0", "m1"}, within_s=20)
        await process.kill_all()
        with pytest.raises(httpx2.HTTPError):
            await stream
        await becomes_true(lambda: not announced(root), within_s=10)
