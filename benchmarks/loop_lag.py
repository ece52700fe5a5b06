"""How late the host's event loop is while 16 streams run in it: idle, with the engine in a thread, and in a process;
and while one answer with very many log probabilities is written, in the loop itself and beside it as the server does.

A probe asks to be called every few milliseconds and notes how much later it was. What matters to a host is the tail.
"""

import asyncio
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.interleave import Contender, Figures, Limits, Outcome, Report, compared, interleave, limits, parser
from benchmarks.load import load
from benchmarks.peers import PROCESS, THREAD, EnginePeer, Peer, Task, spec
from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.formats.openai_chat.encode import to_json
from bodhi_asgi.messages.answers import Answer, FinishReason, Reply, TokenLogprob, Usage
from bodhi_asgi.wire.desk import Desk
from bodhi_asgi.wire.logprobs import size_of

EVERY_S = 0.004
STREAMS = 16
IDLE = "idle"
IDLE_S = 3.0
LAG_P99 = "lag p99, ms"
LAG_MAX = "lag max, ms"
IN_LOOP = "in the loop"
BESIDE = "beside it"
ALLOWED_MS = 1.0


async def probe(lags: list[float]) -> None:
    """Note lags in seconds until cancelled."""
    while True:
        wanted = time.perf_counter() + EVERY_S
        await asyncio.sleep(EVERY_S)
        lags.append(time.perf_counter() - wanted)


async def lag(peer: Peer | None, tokens: int, repeats: int) -> Figures:
    """The loop's lag under load, or for a while without."""
    lags: list[float] = []
    probing = asyncio.create_task(probe(lags))
    cpu, began = time.process_time(), time.perf_counter()
    if peer is None:
        await asyncio.sleep(IDLE_S)
    else:
        await load(peer, STREAMS, tokens, repeats=repeats)
    share = (time.process_time() - cpu) / (time.perf_counter() - began)
    probing.cancel()
    lags.sort()
    return {
        "lag p50, ms": lags[len(lags) // 2] * 1000,
        LAG_P99: lags[len(lags) * 99 // 100] * 1000,
        LAG_MAX: lags[-1] * 1000,
        "CPU of the host process": share,
    }


def verdicts(outcome: Outcome) -> str:
    """Whether the tail stays within a millisecond of an idle loop's."""
    if not outcome.rounds:
        return ""
    most = outcome.of(IDLE, LAG_P99).median + ALLOWED_MS
    told = {name: outcome.of(name, LAG_P99).median for name in (THREAD, PROCESS)}
    return "\n".join(
        f"{'pass' if ms <= most else 'MISS'}: {name} p99 {ms:.2f} ms, at most {most:.2f}" for name, ms in told.items()
    )


async def compare(task: Task, tokens: int, repeats: int, most: Limits, report: Report) -> None:
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        thread = ThreadEngine(spec(task))
        process = ProcessEngine(spec(task), runtime_dir=Path(folder) / "r", linger_s=0.0)
        try:
            await thread.start()
            await process.start()
            peers: dict[str, Peer | None] = {IDLE: None, THREAD: EnginePeer(thread), PROCESS: EnginePeer(process)}
            contenders = [Contender(name, partial(lag, peer, tokens, repeats)) for name, peer in peers.items()]
            outcome = await interleave(contenders, most)
            text = f"{compared(outcome, IDLE, LAG_P99)}\n\n{verdicts(outcome)}"
            report.add(f"event loop lag, {task.name}, {STREAMS} streams", outcome, text)
        finally:
            await thread.aclose()
            await process.aclose(terminate=True)


def long_reply() -> Reply:
    """Two answers of a thousand tokens, each with the twenty likeliest at its place."""
    top = tuple(TokenLogprob(token, b" word", -1.0) for token in range(20))
    scores = tuple(TokenLogprob(token, b" word", -1.0, top) for token in range(1000))
    answer = Answer(" word" * 1000, FinishReason.STOP, logprobs=scores)
    return Reply((answer, answer), Usage(10, 2000))


async def written(reply: Reply, *, beside: bool) -> Figures:
    """The loop's lag while the answer is written three times over."""
    desk, lags = Desk(), list[float]()
    probing = asyncio.create_task(probe(lags))
    await asyncio.sleep(EVERY_S)
    began = time.perf_counter()
    for _ in range(3):
        make = partial(to_json, reply, request_id="r", model="m", created=0)
        await desk.encode(make, size=size_of(reply) if beside else 0)
        await asyncio.sleep(EVERY_S)
    took = time.perf_counter() - began
    await asyncio.sleep(EVERY_S)
    probing.cancel()
    await desk.close()
    return {LAG_MAX: max(lags) * 1000, "an answer takes, ms": took / 3 * 1000}


async def compare_writing(most: Limits, report: Report) -> None:
    reply = long_reply()
    ways = {IN_LOOP: False, BESIDE: True}
    contenders = [Contender(name, partial(written, reply, beside=beside)) for name, beside in ways.items()]
    outcome = await interleave(contenders, most)
    report.add("event loop lag, 42,000 log probabilities in an answer", outcome, compared(outcome, IN_LOOP, LAG_MAX))


async def main() -> None:
    asked = parser("The host's event loop while streams run.", rounds=3, full_rounds=7).parse_args()
    report = Report(as_json=asked.json)
    await compare(Task("tiny", DEMO_MODEL_PATH, slots=STREAMS), 96, 8, limits(asked), report)
    await compare_writing(limits(asked), report)
    if asked.full:
        await compare(Task("q4", random_model(), slots=STREAMS), 24, 1, limits(asked), report)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
