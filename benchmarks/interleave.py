"""One runner for every comparison: contenders take turns, round by round, each round in an order drawn anew.

A turn in which other processes of normal priority took more than a share of the machine is thrown away and taken again;
a round in which that does not help is thrown away whole. So every ratio is of figures taken minutes apart at most, on a
machine that was ours. What others did at low priority is told with the figures. What is reported is the median of the
rounds' ratios and the middle half of them, never the best.
"""

import argparse
import asyncio
import json
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final, Protocol, TypeAlias

from benchmarks.machine import LoadWatch, Others, describe

Figures: TypeAlias = Mapping[str, float]
"""What one contender did in one round: figures by name, the same names from every contender."""

QUIET_S: Final = 0.25
"""How long the machine must be left to us before a turn begins."""


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who is measured: ``measure`` does the work once and returns its figures."""

    name: str
    measure: Callable[[], Awaitable[Figures]]


class Watch(Protocol):
    """Says what others took of the machine since ``begin``."""

    def begin(self) -> None: ...

    def others(self) -> Others: ...


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: ``rounds`` good ones, or ``attempts`` in all; and what makes a turn or a round bad."""

    rounds: int = 5
    attempts: int = 20
    turns: int = 4
    """How often one contender's turn may be taken again in a round, the first time included."""
    others_share: float = 0.08
    quiet_wait_s: float = 30.0


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of some values, and the bounds of the middle half of them."""

    median: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.median:.3g} ({self.low:.3g} to {self.high:.3g})"


def spread(values: Sequence[float]) -> Spread:
    """Raises ValueError for no values."""
    if not values:
        raise ValueError("there are no values to describe")
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(median, low, high)


@dataclass(slots=True)
class Outcome:
    """The good rounds, each with every contender's figures, and how many others were thrown away."""

    rounds: list[dict[str, Figures]] = field(default_factory=list)
    disturbed: int = 0
    """Rounds thrown away."""
    repeated: int = 0
    """Turns taken again."""
    others: list[Others] = field(default_factory=list)
    """For each good round, the most that others took during one contender's turn."""

    def of(self, name: str, figure: str) -> Spread:
        """A contender's figure over all good rounds."""
        return spread([figures[name][figure] for figures in self.rounds])

    def ratio(self, name: str, peer: str, figure: str) -> Spread:
        """A contender's figure over the peer's, formed within each round."""
        return spread([figures[name][figure] / figures[peer][figure] for figures in self.rounds])

    def kept(self) -> str:
        """How many rounds are behind the figures, and what else went on during them."""
        told = f"{len(self.rounds)} good rounds, {self.disturbed} thrown away, {self.repeated} turns taken again"
        if not self.others:
            return told
        normal, low = max(each.normal for each in self.others), max(each.low for each in self.others)
        return f"{told}; at most {normal:.0%} of the machine to others, and {low:.0%} at low priority"

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "rounds": [{name: dict(of) for name, of in each.items()} for each in self.rounds],
            "good": len(self.rounds),
            "disturbed": self.disturbed,
            "repeated": self.repeated,
            "others": [[each.normal, each.low] for each in self.others],
        }


async def interleave(
    contenders: Sequence[Contender],
    limits: Limits,
    *,
    watch: Watch | None = None,
    random: Random | None = None,
) -> Outcome:
    """Measure until there are enough good rounds or the attempts are used up. Contenders' errors pass through."""
    watch, random = watch or LoadWatch(), random or Random(0)
    outcome = Outcome()
    for _ in range(limits.attempts):
        if len(outcome.rounds) >= limits.rounds:
            break
        await _round(random.sample(contenders, len(contenders)), watch, limits, outcome)
    return outcome


async def _round(order: Sequence[Contender], watch: Watch, limits: Limits, outcome: Outcome) -> None:
    """Add every contender's figures, or nothing when one of them is not left in peace."""
    figures: dict[str, Figures] = {}
    normal = low = 0.0
    for contender in order:
        for turn in range(limits.turns):
            outcome.repeated += turn > 0
            await _quiet(watch, limits)
            watch.begin()
            measured = await contender.measure()
            others = watch.others()
            if others.normal <= limits.others_share:
                break
        else:
            outcome.disturbed += 1
            return
        figures[contender.name] = measured
        normal, low = max(normal, others.normal), max(low, others.low)
    outcome.rounds.append(figures)
    outcome.others.append(Others(normal, low))


async def _quiet(watch: Watch, limits: Limits) -> None:
    """Wait until others leave the machine alone, or have not for too long: then the turn will show."""
    waited_s = 0.0
    while waited_s < limits.quiet_wait_s:
        watch.begin()
        await asyncio.sleep(QUIET_S)
        if watch.others().normal <= limits.others_share:
            return
        waited_s += QUIET_S


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown, to be read as it is and to be put into a document as it is."""
    lines = ["| " + " | ".join(head) + " |", "| --- " + "| ---: " * (len(head) - 1) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def compared(outcome: Outcome, peer: str, ratio_of: str) -> str:
    """Every figure of every contender, with the ratio of one of them to the peer's."""
    if not outcome.rounds:
        return "no round was left undisturbed, so there are no figures"
    names = list(outcome.rounds[0])
    figures = list(outcome.rounds[0][names[0]])
    rows = [
        [name, *(f"{outcome.of(name, figure).median:.4g}" for figure in figures)]
        + ([str(outcome.ratio(name, peer, ratio_of))] if peer in names else ["no peer"])
        for name in sorted(names)
    ]
    return table(["", *figures, f"{ratio_of} / {peer}"], rows) + f"\n\n{outcome.kept()}"


class Report:
    """Prints what was found: tables as they come, or one JSON object at the end."""

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._found: dict[str, Any] = {"machine": describe()}
        if not as_json:
            print(describe())

    def say(self, line: str) -> None:
        """A remark for a reader; not part of the JSON."""
        if not self._as_json:
            print(line, flush=True)

    def add(self, title: str, found: Outcome | Mapping[str, Any], text: str) -> None:
        """A result: its values for JSON, its text for a reader."""
        self._found[title] = found.plain() if isinstance(found, Outcome) else dict(found)
        self.say(f"\n### {title}\n\n{text}")

    def close(self) -> None:
        if self._as_json:
            print(json.dumps(self._found, indent=1))


def parser(description: str, *, rounds: int, full_rounds: int) -> argparse.ArgumentParser:
    """The options that every comparison takes; quick unless ``--full``."""
    options = argparse.ArgumentParser(description=description)
    options.add_argument("--full", action="store_true", help=f"all cases, {full_rounds} rounds instead of {rounds}")
    options.add_argument("--rounds", type=int, default=None, help="good rounds to take")
    options.add_argument("--others", type=float, default=0.08, help="share of the machine others may take (0 to 1)")
    options.add_argument("--json", action="store_true", help="print every round as JSON instead of tables")
    options.set_defaults(quick_rounds=rounds, full_rounds=full_rounds)
    return options


def limits(options: argparse.Namespace) -> Limits:
    """What the options of :func:`parser` ask for."""
    rounds = options.rounds or (options.full_rounds if options.full else options.quick_rounds)
    return Limits(rounds=rounds, attempts=4 * rounds, others_share=options.others)
