"""The runner of comparisons keeps its rounds apart, throws away what others disturbed, and counts what is left."""

import json
from random import Random

import pytest

from benchmarks.interleave import (
    Contender,
    Figures,
    Limits,
    Outcome,
    Report,
    Spread,
    compared,
    interleave,
    spread,
    table,
)
from benchmarks.machine import LoadWatch, Others, ProcessTicks, busy_ticks, family, process_ticks

QUICK = Limits(rounds=4, attempts=12, turns=1, quiet_wait_s=0.0)


class ScriptedWatch:
    """Others take these shares, one after the other, then nothing."""

    def __init__(self, *shares: float) -> None:
        self._shares = list(shares)

    def begin(self) -> None:
        """The script knows by itself where it is."""

    def others(self) -> Others:
        return Others(self._shares.pop(0) if self._shares else 0.0, low=0.5)


class Turns:
    """Contenders with a fixed speed that note when it was their turn."""

    def __init__(self, **speeds: float) -> None:
        self.taken: list[str] = []
        self.contenders = [self._contender(name, speed) for name, speed in speeds.items()]

    def _contender(self, name: str, speed: float) -> Contender:
        async def measure() -> Figures:
            self.taken.append(name)
            return {"tokens/s": speed}

        return Contender(name, measure)


async def test_every_contender_has_one_turn_in_every_round() -> None:
    turns = Turns(hare=30, tortoise=10, snail=1)
    outcome = await interleave(turns.contenders, QUICK, watch=ScriptedWatch(), random=Random(3))
    rounds = [turns.taken[index : index + 3] for index in range(0, 12, 3)]
    assert len(turns.taken) == 12
    assert [sorted(each) for each in rounds] == [["hare", "snail", "tortoise"]] * 4
    assert len({tuple(each) for each in rounds}) > 1, "the order is drawn anew"
    assert (len(outcome.rounds), outcome.disturbed) == (4, 0)


async def test_a_disturbed_round_is_thrown_away_whole_and_run_again() -> None:
    turns = Turns(hare=30, tortoise=10)
    watch = ScriptedWatch(0.0, 0.5, 0.0, 0.0, 0.2)
    outcome = await interleave(turns.contenders, QUICK, watch=watch, random=Random(3))
    assert (len(outcome.rounds), outcome.disturbed) == (4, 2)
    assert all(set(figures) == {"hare", "tortoise"} for figures in outcome.rounds)
    assert len(turns.taken) == 2 + 2 + 1 + 3 * 2, "what follows a disturbance in its round is not even measured"


async def test_a_disturbed_turn_is_taken_again_within_its_round() -> None:
    turns = Turns(hare=30, tortoise=10)
    limits = Limits(rounds=1, attempts=2, turns=3, quiet_wait_s=0.0)
    outcome = await interleave(turns.contenders, limits, watch=ScriptedWatch(0.9, 0.9, 0.0), random=Random(3))
    assert (len(outcome.rounds), outcome.disturbed, outcome.repeated) == (1, 0, 2)
    assert turns.taken[0] == turns.taken[1] == turns.taken[2] != turns.taken[3]
    never = ScriptedWatch(*[0.9] * 6)
    outcome = await interleave(turns.contenders, limits, watch=never, random=Random(3))
    assert (len(outcome.rounds), outcome.disturbed, outcome.repeated) == (0, 2, 4)


async def test_a_busy_machine_ends_the_run_with_what_there_is() -> None:
    turns = Turns(hare=30)
    limits = Limits(rounds=4, attempts=3, turns=1, quiet_wait_s=0.0)
    outcome = await interleave(turns.contenders, limits, watch=ScriptedWatch(0.0, 0.9, 0.9), random=Random(3))
    assert (len(outcome.rounds), outcome.disturbed) == (1, 2)
    nothing = await interleave(turns.contenders, limits, watch=ScriptedWatch(0.9, 0.9, 0.9), random=Random(3))
    assert compared(nothing, "hare", "tokens/s") == "no round was left undisturbed, so there are no figures"


def test_a_ratio_is_formed_within_each_round() -> None:
    # Everybody is twice as fast in the second round: the ratio does not notice.
    outcome = Outcome([{"a": {"x": 2.0}, "b": {"x": 1.0}}, {"a": {"x": 4.0}, "b": {"x": 2.0}}])
    assert outcome.ratio("a", "b", "x") == Spread(2.0, 2.0, 2.0)
    assert outcome.of("a", "x") == Spread(3.0, 2.5, 3.5)


def test_a_spread_is_the_median_and_the_middle_half() -> None:
    assert spread([5, 1, 4, 2, 3]) == Spread(3, 2, 4)
    assert spread([7]) == Spread(7, 7, 7)
    assert str(spread([1, 2, 3])) == "2 (1.5 to 2.5)"
    with pytest.raises(ValueError, match="no values"):
        spread([])


def test_tables_are_markdown_with_the_ratio_to_the_peer_at_the_end() -> None:
    assert table(["", "x"], [["a", "1"]]) == "|  | x |\n| --- | ---: |\n| a | 1 |"
    outcome = Outcome([{"b": {"x": 2.0}, "a": {"x": 1.0}}], disturbed=1, others=[Others(0.01, 0.3)])
    lines = compared(outcome, "b", "x").splitlines()
    assert lines[2:] == [
        "| a | 1 | 0.5 (0.5 to 0.5) |",
        "| b | 2 | 1 (1 to 1) |",
        "",
        outcome.kept(),
    ]
    assert outcome.kept().startswith("1 good rounds, 1 thrown away, 0 turns taken again; at most 1% of the machine")
    assert "| no peer |" in compared(outcome, "c", "x")


def test_json_holds_every_round_and_no_remarks(capsys: pytest.CaptureFixture[str]) -> None:
    report = Report(as_json=True)
    report.say("a remark")
    report.add("speed", Outcome([{"a": {"x": 1.0}}], disturbed=2), "text")
    report.close()
    printed = json.loads(capsys.readouterr().out)
    assert printed["speed"] == {"rounds": [{"a": {"x": 1.0}}], "good": 1, "disturbed": 2, "repeated": 0, "others": []}
    assert "cores" in printed["machine"]


def test_what_others_take_is_read_from_the_kernel() -> None:
    assert busy_ticks("cpu  1 2 4 8 16 32 64 128 0 0\ncpu0 1") == (1 + 4 + 32 + 64 + 128, 2)
    line = "42 (a) (b) R 7 42 42 0 -1 4194560 1 0 0 0 11 13 17 19 20 0 1 0"
    assert process_ticks(line) == ProcessTicks(parent=7, ticks=11 + 13 + 17 + 19)
    tree = {1: ProcessTicks(0, 0), 2: ProcessTicks(1, 0), 3: ProcessTicks(2, 0), 4: ProcessTicks(1, 0)}
    assert family(tree, 2) == {2, 3}
    assert family(tree, 1) == {1, 2, 3, 4}
    watch = LoadWatch()
    sum(range(2_000_000))
    others = watch.others()
    assert 0.0 <= others.normal <= 1.0
    assert 0.0 <= others.low <= 1.0
