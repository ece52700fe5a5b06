"""Throughput, first token and gaps between tokens at 1 to 16 streams, of our engine in its forms and of its peers.

All contenders are started once per model and take turns. Ratios are to llama-server, built from the same llama.cpp.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.interleave import Contender, Limits, Outcome, Report, compared, interleave, limits, parser
from benchmarks.load import SPEED, load
from benchmarks.peers import BINDINGS_SERVER, HTTP, LLAMA_SERVER, PROCESS, STARTS, THREAD, Task, started
from benchmarks.random_model import random_model
from bodhi_asgi.demo_model import DEMO_MODEL_PATH


@dataclass(frozen=True, slots=True)
class Case:
    """So many streams of so many tokens, and how often in a row, so that a turn takes a second or more."""

    streams: int
    tokens: int
    repeats: int = 1


@dataclass(frozen=True, slots=True)
class Bar:
    """A ratio that must be reached."""

    name: str
    peer: str
    least: float

    def verdict(self, outcome: Outcome) -> str | None:
        """In words; None when one of the two is not there."""
        if not outcome.rounds or not {self.name, self.peer} <= outcome.rounds[0].keys():
            return None
        ratio = outcome.ratio(self.name, self.peer, SPEED)
        word = "pass" if ratio.median >= self.least else "MISS"
        return f"{word}: {self.name} / {self.peer} {ratio}, at least {self.least}"


FULL = {
    "tiny": (Case(1, 96, 12), Case(2, 96, 10), Case(4, 96, 8), Case(8, 96, 6), Case(16, 96, 4)),
    "q4": (Case(1, 48), Case(2, 48), Case(4, 48), Case(8, 48), Case(16, 32)),
}
QUICK = {"tiny": (Case(1, 96, 12), Case(8, 96, 6))}

IN_EACH_CASE = (Bar(PROCESS, THREAD, 0.97),)
BARS: dict[tuple[str, int], tuple[Bar, ...]] = {
    ("tiny", 2): (Bar(HTTP, LLAMA_SERVER, 0.85),),
    ("tiny", 8): (Bar(HTTP, LLAMA_SERVER, 1.0), Bar(HTTP, BINDINGS_SERVER, 2.0)),
    ("tiny", 16): (Bar(HTTP, LLAMA_SERVER, 1.0),),
    ("q4", 1): (Bar(HTTP, LLAMA_SERVER, 0.90), Bar(PROCESS, LLAMA_SERVER, 0.90)),
    ("q4", 4): (Bar(HTTP, LLAMA_SERVER, 0.95), Bar(PROCESS, LLAMA_SERVER, 0.95)),
    ("q4", 8): (Bar(HTTP, LLAMA_SERVER, 0.95), Bar(PROCESS, LLAMA_SERVER, 0.95), Bar(HTTP, BINDINGS_SERVER, 2.0)),
    ("q4", 16): (Bar(HTTP, LLAMA_SERVER, 0.95), Bar(PROCESS, LLAMA_SERVER, 0.95)),
}


def verdicts(model: str, streams: int, outcome: Outcome) -> str:
    """One line for each bar of the case that can be judged."""
    bars = (*BARS.get((model, streams), ()), *IN_EACH_CASE)
    return "\n".join(filter(None, (bar.verdict(outcome) for bar in bars)))


async def compare(
    model: str, path: Path, cases: tuple[Case, ...], names: Sequence[str], most: Limits, report: Report
) -> None:
    """The contenders of these names with one model, case by case."""
    async with started(Task(model, path), names) as field:
        if field.missing:
            report.add(f"{model}, not here", field.missing, field.absent())
        for case in cases:
            contenders = [
                Contender(name, partial(load, peer, case.streams, case.tokens, repeats=case.repeats))
                for name, peer in field.peers.items()
            ]
            outcome = await interleave(contenders, most)
            text = f"{compared(outcome, LLAMA_SERVER, SPEED)}\n\n{verdicts(model, case.streams, outcome)}"
            report.add(f"{model}, {case.streams} streams of {case.tokens} tokens", outcome, text)


async def main() -> None:
    options = parser("Throughput and latency of all contenders.", rounds=3, full_rounds=7)
    options.add_argument("--model", choices=tuple(FULL), help="only this model, all its cases")
    options.add_argument("--streams", type=int, help="only the case with so many streams")
    options.add_argument("--contenders", nargs="+", choices=tuple(STARTS), default=tuple(STARTS), help="only these")
    asked = options.parse_args()
    chosen = {asked.model: FULL[asked.model]} if asked.model else FULL if asked.full else QUICK
    report = Report(as_json=asked.json)
    paths = {"tiny": lambda: DEMO_MODEL_PATH, "q4": random_model}
    for model, cases in chosen.items():
        wanted = tuple(case for case in cases if asked.streams in (None, case.streams))
        if not wanted:
            options.error(f"--streams {asked.streams}: {model} has {', '.join(str(case.streams) for case in cases)}")
        await compare(model, paths[model](), wanted, asked.contenders, limits(asked), report)
    report.close()


if __name__ == "__main__":
    asyncio.run(main())
