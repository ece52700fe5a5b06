"""Texts per second as vectors, in one request of many and in many requests of one, of our server and llama-server.

An encoder of MiniLM's shape, or with ``--full`` the model of Qwen2.5-0.5B's shape too, both with random weights.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import httpx2

from benchmarks.interleave import Contender, Figures, Report, compared, interleave, limits, parser
from benchmarks.peer_builds import CannotBeHad
from benchmarks.peers import (
    HTTP,
    LLAMA_SERVER,
    Task,
    bodhi,
    engine_environment,
    free_port,
    llama_server_command,
    new_token,
    process,
)
from benchmarks.random_encoder import random_encoder
from benchmarks.random_model import random_model

WORDS = tuple("north south east west river hill forest shore bridge market stone cloud garden window table".split())  # noqa: SIM905
TOGETHER = "texts/s together"
APART = "texts/s apart"
LEAST = 1.0
AT_ONCE = 16
N_CTX = 512


@dataclass(frozen=True, slots=True)
class Case:
    """So many texts of so many words in a turn."""

    name: str
    path: Path
    texts: int
    words: int


@dataclass(frozen=True, slots=True)
class Server:
    """A started contender."""

    client: httpx2.AsyncClient
    model: str

    async def embed(self, texts: list[str]) -> int:
        """Ask for the vectors; returns how many came."""
        body = {"model": self.model, "input": texts, "encoding_format": "base64"}
        response = await self.client.post("/v1/embeddings", json=body)
        response.raise_for_status()
        return len(response.json()["data"])


def texts(case: Case, seed: int) -> list[str]:
    dice = Random(seed)
    return [" ".join(dice.choices(WORDS, k=case.words)) for _ in range(case.texts)]


async def measure(server: Server, case: Case) -> Figures:
    """Both figures of one turn."""
    asked = texts(case, 3)
    began = time.perf_counter()
    assert await server.embed(asked) == len(asked)
    together_s = time.perf_counter() - began
    waiting = iter(asked)

    async def one_by_one() -> None:
        for text in waiting:
            assert await server.embed([text]) == 1

    began = time.perf_counter()
    await asyncio.gather(*(one_by_one() for _ in range(AT_ONCE)))
    return {TOGETHER: len(asked) / together_s, APART: len(asked) / (time.perf_counter() - began)}


@asynccontextmanager
async def serving(name: str, task: Task) -> AsyncIterator[Server]:
    """Start a contender with the model. Raises CannotBeHad."""
    port = free_port()
    async with AsyncExitStack() as stack:
        headers: dict[str, str] = {}
        if name == LLAMA_SERVER:
            command = [*llama_server_command(task, port), "--embeddings", "--pooling", "mean"]
            command += ["--batch-size", str(N_CTX), "--ubatch-size", str(N_CTX)]
            await stack.enter_async_context(process(command, port=port, ready="/health"))
        else:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp")))
            headers = new_token(folder)
            command = bodhi("serve", "--data-dir", folder, "--port", str(port), "--no-demo")
            command += ["--model", f"{task.name}={task.path}"]
            settings = engine_environment(task, pooling="mean", queue_limit=64)
            await stack.enter_async_context(process(command, port=port, ready="/health/ready", **settings))
        client = httpx2.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=600)
        server = Server(await stack.enter_async_context(client), task.name)
        await server.embed(["north"])
        yield server


async def compare(case: Case, asked: object, report: Report) -> None:
    task = Task(case.name, case.path, n_ctx=N_CTX)
    async with AsyncExitStack() as stack:
        contenders = []
        for name in (LLAMA_SERVER, HTTP):
            try:
                server = await stack.enter_async_context(serving(name, task))
            except CannotBeHad as reason:
                report.add(f"{name} is not here", {"reason": str(reason)}, str(reason))
                continue
            contenders.append(Contender(name, partial(measure, server, case)))
        outcome = await interleave(contenders, limits(asked))  # type: ignore[arg-type]
    lines = [compared(outcome, LLAMA_SERVER, TOGETHER)]
    if outcome.rounds and LLAMA_SERVER in outcome.rounds[0]:
        for figure in (TOGETHER, APART):
            ratio = outcome.ratio(HTTP, LLAMA_SERVER, figure)
            word = "pass" if ratio.median >= LEAST else "MISS"
            lines.append(f"{word}: {figure}, {HTTP} / {LLAMA_SERVER} {ratio}, at least {LEAST}")
    report.add(f"{case.texts} texts of {case.words} words, {case.name}", outcome, "\n\n".join(lines))


async def main() -> None:
    options = parser("Vectors per second.", rounds=3, full_rounds=5)
    options.add_argument("--texts", type=int, default=0, help="texts in a turn")
    asked = options.parse_args()
    report = Report(as_json=asked.json)
    cases = [Case("minilm", random_encoder(WORDS), asked.texts or 256, 40)]
    if asked.full:
        cases.append(Case("q4", random_model(), asked.texts or 24, 40))
    for case in cases:
        await compare(case, asked, report)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
