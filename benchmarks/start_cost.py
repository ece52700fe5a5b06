"""From starting a server to its first answered request, the model's load included, for all that serve HTTP."""

import asyncio
from argparse import Namespace
from functools import partial
from pathlib import Path

from benchmarks.interleave import Contender, Figures, Report, compared, interleave, limits, parser
from benchmarks.peer_builds import CannotBeHad
from benchmarks.peers import BINDINGS_SERVER, HTTP, LLAMA_SERVER, STARTS, XLLAMACPP, HttpPeer, Task
from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH

SERVERS = (HTTP, LLAMA_SERVER, XLLAMACPP, BINDINGS_SERVER)
ANSWERED = "answered, s"


async def start(name: str, task: Task) -> Figures:
    """Seconds to the first 200 of its health, and to the end of one token's answer."""
    async with STARTS[name](task) as peer:
        assert isinstance(peer, HttpPeer)
        streamed = await peer.ask("Hello", 1)
        return {
            "listening, s": streamed.asked_at - peer.process.at,
            ANSWERED: streamed.ended_at - peer.process.at,
        }


async def here(task: Task) -> tuple[list[str], dict[str, str]]:
    """Who can be started, and who cannot and why; files are in the page cache afterwards for everybody."""
    present, missing = [], {}
    for name in SERVERS:
        try:
            await start(name, task)
            present.append(name)
        except CannotBeHad as reason:
            missing[name] = str(reason)
    return present, missing


async def compare(name: str, path: Path, report: Report, asked: Namespace) -> None:
    task = Task(name, path, slots=8)
    present, missing = await here(task)
    if missing:
        lines = (f"{server} cannot be had: {reason}" for server, reason in missing.items())
        report.add(f"start, {name}, not here", missing, "\n".join(lines))
    contenders = [Contender(server, partial(start, server, task)) for server in present]
    outcome = await interleave(contenders, limits(asked))
    report.add(f"start, {name}", outcome, compared(outcome, LLAMA_SERVER, ANSWERED))


async def main() -> None:
    asked = parser("From the start of a server to its first answer.", rounds=2, full_rounds=7).parse_args()
    report = Report(as_json=asked.json)
    await compare("tiny", DEMO_MODEL_PATH, report, asked)
    if asked.full:
        await compare("q4", random_model(), report, asked)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
