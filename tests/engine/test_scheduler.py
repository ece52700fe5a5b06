"""The scheduler under everything that can happen to it, in any order: nothing is lost, and nothing ends twice."""

from contextlib import suppress
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineBusy,
    EngineLost,
    EngineStopped,
    PromptInvalid,
    WorkCancelled,
)
from bodhi_asgi.engine.life import life_of, rest_of
from bodhi_asgi.engine.pace import MIN_TOKENS, Pace, shares
from bodhi_asgi.engine.plan import Clear, Copy, Edit, Fetch, Row, StepOutcome, StepPlan, StepResult
from bodhi_asgi.engine.planner import Planner
from bodhi_asgi.engine.prefix import NoPrefix, RadixPrefix
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.slots import SlotTable
from bodhi_asgi.engine.stowage import Stowage
from bodhi_asgi.engine.turnover import SHORTEST_S
from bodhi_asgi.engine.types import Chunk, EngineStats, ModelFacts, ModelSpec
from bodhi_asgi.messages.answers import FinishReason
from tests.engine.support import work

MARKS: Final = 2
"""Tokens that the echo puts around what it is to say."""


class StatefulRunner(EchoRunner):
    """An echo that can share a sequence only as it stands, as a recurrent model does."""

    def _edit(self, edit: Edit) -> None:
        if isinstance(edit, Copy):
            assert len(self._cells[edit.source]) == edit.cells, "a part of a state is no state"
        elif isinstance(edit, Clear):
            assert edit.begin in (0, len(self._cells.get(edit.slot, ()))), "a state has no past"
        super()._edit(edit)


class Machine:
    """A scheduler over the echo runner, which refuses any plan that a KV cache could not carry out."""

    def __init__(
        self,
        *,
        slots: int = 2,
        n_ctx: int = 64,
        n_batch: int = 16,
        queue_limit: int = 8,
        queue_limit_per_owner: int = 8,
        kept: int = 8,
        shared: bool = False,
        whole: bool = False,
        life: int | None = None,
        rest: int | None = None,
        stowage: Stowage | None = None,
        planner: type[Scheduler] = Scheduler,
    ) -> None:
        self.n_ctx, self.n_batch, self.whole = n_ctx, n_batch, whole
        kind = StatefulRunner if whole else EchoRunner
        self.runner = kind(ModelSpec("parrot", "nowhere", runner="echo", n_ctx=n_ctx))
        table, prefix = SlotTable(slots, n_ctx, slots + kept), RadixPrefix() if kept else NoPrefix()
        self.cells = Cells(table, prefix, shared=shared, whole=whole, life=life, rest=rest, stowage=stowage)
        self.scheduler = planner(
            self.runner.vocabulary,
            cells=self.cells,
            n_ctx=n_ctx,
            n_batch=n_batch,
            queue_limit=queue_limit,
            queue_limit_per_owner=queue_limit_per_owner,
        )
        self.asked: dict[str, str] = {}
        self.said: dict[str, str] = {}
        self.ends: dict[str, Chunk] = {}

    @property
    def open(self) -> list[str]:
        """Ids of requests without their final word."""
        return [work_id for work_id in self.asked if work_id not in self.ends]

    def ask(
        self,
        words: int,
        *,
        stem: int = 0,
        owner: str = "",
        max_tokens: int | None = None,
        stop: tuple[str, ...] = (),
        deadline_at_s: float | None = None,
    ) -> str:
        """Ask for so many words to be said again, different from everybody else's after the ``stem`` first ones."""
        text = " ".join(f"{'s' if index < stem else len(self.asked)}.{index}" for index in range(words))
        asked = work(text, owner=owner, max_tokens=max_tokens, stop=stop)
        tokens = self.runner.vocabulary.encode(asked.request.prompt)
        assert len(tokens) == words + MARKS
        sequence = self.scheduler.add(asked, tokens, deadline_at_s)
        self.runner.begin(sequence.number, asked.request)
        self.asked[asked.id] = text
        self.said[asked.id] = ""
        return asked.id

    def step(self, prefill_limit: int = 512, outcome: StepOutcome = StepOutcome.DONE) -> StepPlan | None:
        """One step. A runner that fails has cleared what it was told to clear, and computed nothing."""
        plan = self.scheduler.schedule(prefill_limit)
        self.free_samplers()
        if plan is None:
            return None
        assert plan.tokens <= self.n_batch
        assert len({row.slot for row in plan.rows}) == len(plan.rows), "a slot has one row in a step"
        if outcome is StepOutcome.DONE or not plan.rows:
            result = self.runner.run(plan)
            assert result.outcome is StepOutcome.DONE, "the cells of the scheduler and of the cache differ"
        else:
            lost = frozenset(row.slot for row in plan.rows) if self.whole else frozenset()
            self.runner.run(StepPlan((), (*plan.edits, *map(Clear, lost))))
            result = StepResult(outcome, lost=lost)
        self.hear(self.scheduler.apply(plan, result))
        self.free_samplers()
        return plan

    def hear(self, chunks: list[Chunk]) -> None:
        for chunk in chunks:
            assert chunk.work_id not in self.ends, "words after the final one"
            self.said[chunk.work_id] += chunk.text
            if chunk.is_final:
                self.ends[chunk.work_id] = chunk

    def free_samplers(self) -> None:
        for number in self.scheduler.ended_samplers():
            self.runner.end(number)

    def finish(self, most_steps: int = 10_000) -> None:
        """Step until there is nothing to do."""
        for _ in range(most_steps):
            if self.step() is None:
                return
        pytest.fail(f"still not done after {most_steps} steps: {self.scheduler.stats()}")

    def is_empty(self) -> None:
        """Nothing is held by anybody, and what is cached can be given up to the last cell."""
        self.scheduler.check()
        self.cells.forget()
        self.step()
        stats = self.scheduler.stats()
        assert stats.cells_cached == 0
        assert (stats.running, stats.waiting, stats.slots_used, stats.cells_used) == (0, 0, 0, 0)
        assert self.scheduler.is_idle
        assert self.scheduler.next_deadline_s is None
        assert self.runner._samplers == {}
        assert self.runner._cells == {}


class AnyOrder(RuleBasedStateMachine):
    """Requests come, leave, stand still, run late, and meet a cache that is full or a step that is given up."""

    @initialize(
        slots=st.integers(1, 4),
        n_ctx=st.sampled_from([16, 24, 48, 96, 200]),
        n_batch=st.sampled_from([4, 8, 64]),
        queue_limit=st.integers(0, 5),
        kept=st.integers(0, 4),
        shared=st.booleans(),
        whole=st.booleans(),
        life=st.sampled_from([None, 30]),
        rest=st.sampled_from([None, 0, 10]),
        stowed=st.sampled_from([0, 60, 400]),
    )
    def begin(
        self,
        slots: int,
        n_ctx: int,
        n_batch: int,
        queue_limit: int,
        kept: int,
        shared: bool,
        whole: bool,
        life: int | None,
        rest: int | None,
        stowed: int,
    ) -> None:
        self.machine = Machine(
            slots=slots,
            n_ctx=n_ctx,
            n_batch=n_batch,
            queue_limit=queue_limit,
            queue_limit_per_owner=2,
            kept=kept,
            shared=shared,
            whole=whole,
            life=life,
            rest=rest,
            stowage=Stowage(0 if whole else stowed, 120),
        )
        self.slots, self.queue_limit = slots, queue_limit
        self.now_s = 0.0
        self.deadlines: dict[str, float] = {}
        self.limits: dict[str, int] = {}
        self.without_cells = False

    @rule(
        owner=st.sampled_from(["", "ada", "bob"]),
        share=st.floats(0, 1),
        stem=st.sampled_from([0, 17, 20, 30, 60]),
        max_tokens=st.none() | st.integers(1, 8),
        waits_s=st.none() | st.integers(1, 20),
    )
    def add(self, owner: str, share: float, stem: int, max_tokens: int | None, waits_s: int | None) -> None:
        before = self.machine.scheduler.stats()
        # Who was sent to wait because he stands still takes nobody's place in line.
        in_line = before.waiting - len(self.machine.scheduler._places.parked)
        free = self.slots - before.slots_used
        words = 1 + int(share * (self.machine.n_ctx - MARKS - 2))
        at_s = None if waits_s is None else self.now_s + waits_s
        try:
            work_id = self.machine.ask(words, stem=stem, owner=owner, max_tokens=max_tokens, deadline_at_s=at_s)
        except EngineBusy:
            is_full = in_line >= self.queue_limit + free or before.waiting >= 2 + free
            assert is_full, "there was a slot, or a place in line"
            assert self.machine.scheduler.stats() == before
            return
        assert in_line < self.queue_limit + free
        if at_s is not None:
            self.deadlines[work_id] = at_s
        if max_tokens is not None:
            self.limits[work_id] = max_tokens

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        work_id = self.anybody(data)
        was_open = work_id in self.machine.open
        chunks = self.machine.scheduler.cancel(work_id)
        assert len(chunks) == was_open
        assert all(isinstance(chunk.error, WorkCancelled) for chunk in chunks)
        self.machine.hear(chunks)

    @rule(data=st.data(), paused=st.booleans())
    def pause_or_resume(self, data: st.DataObject, paused: bool) -> None:
        self.machine.scheduler.set_paused(self.anybody(data), paused=paused)

    @rule(seconds=st.integers(0, 10))
    def expire(self, seconds: int) -> None:
        self.now_s += seconds
        late = {work_id for work_id in self.machine.open if self.deadlines.get(work_id, self.now_s + 1) <= self.now_s}
        chunks = self.machine.scheduler.expire(self.now_s)
        assert {chunk.work_id for chunk in chunks} == late
        assert all(isinstance(chunk.error, DeadlineExceeded) for chunk in chunks)
        self.machine.hear(chunks)

    @rule(limit=st.integers(1, 64), times=st.integers(1, 6))
    def step(self, limit: int, times: int) -> None:
        for _ in range(times):
            self.machine.step(limit)
            self.machine.scheduler.check()

    @rule(outcome=st.sampled_from([StepOutcome.NO_CELLS, StepOutcome.ABORTED]))
    def step_in_vain(self, outcome: StepOutcome) -> None:
        before = set(self.machine.ends)
        self.machine.step(512, outcome)
        lost = {self.machine.ends[work_id] for work_id in set(self.machine.ends) - before}
        assert len(lost) <= 1
        if lost:
            assert outcome is StepOutcome.NO_CELLS
            assert self.machine.scheduler.stats().slots_used == 0, "it was alone"
            assert all(isinstance(chunk.error, ContextLengthExceeded) for chunk in lost)

    @invariant()
    def everything_adds_up(self) -> None:
        if not hasattr(self, "machine"):
            return
        scheduler = self.machine.scheduler
        scheduler.check()
        stats = scheduler.stats()
        assert stats.running + stats.waiting == len(self.machine.open)
        due = [self.deadlines[work_id] for work_id in self.machine.open if work_id in self.deadlines]
        assert scheduler.next_deadline_s == min(due, default=None)

    def anybody(self, data: st.DataObject) -> str:
        """An id of somebody who is here, was here, or never was."""
        return data.draw(st.sampled_from([*self.machine.open[::-1], *self.machine.ends, "nobody"]))

    def teardown(self) -> None:
        if not hasattr(self, "machine"):
            return
        machine = self.machine
        for work_id in machine.open:
            machine.scheduler.set_paused(work_id, paused=False)
        machine.finish()
        machine.is_empty()
        assert machine.ends.keys() == machine.asked.keys()
        for work_id, end in machine.ends.items():
            self.spoke_in_order(work_id, end)
        usages = [end.usage for end in machine.ends.values() if end.usage]
        assert machine.scheduler.stats().completion_tokens >= sum(usage.completion_tokens for usage in usages)

    def spoke_in_order(self, work_id: str, end: Chunk) -> None:
        asked, said = self.machine.asked[work_id], self.machine.said[work_id]
        words = asked.split()
        if end.finish is None:
            assert asked.startswith(said)
            return
        assert end.usage is not None
        assert end.usage.prompt_tokens == len(words) + MARKS
        if end.finish is FinishReason.STOP:
            assert said == asked
            return
        room = self.machine.n_ctx - end.usage.prompt_tokens
        most = min(room, self.limits.get(work_id, room))
        assert said.split() == words[:most]
        assert end.usage.completion_tokens == most


def test_whatever_happens_everything_is_freed_and_every_answer_ends_once_with_its_words_in_order() -> None:
    run_state_machine_as_test(AnyOrder, settings=settings(max_examples=200, stateful_step_count=60))


def test_an_engine_whose_queue_holds_nobody_still_takes_who_finds_a_slot() -> None:
    machine = Machine(slots=2, queue_limit=0, queue_limit_per_owner=0)
    machine.ask(3, owner="ada")
    machine.ask(3, owner="ada")
    with pytest.raises(EngineBusy, match="number 3 in line, and no more than 0 may wait") as refused:
        machine.ask(3)
    assert refused.value.retry_after_s == SHORTEST_S
    machine.finish()
    assert list(machine.said.values()) == list(machine.asked.values())


def test_an_answer_is_given_once_and_counted() -> None:
    machine = Machine()
    work_id = machine.ask(5)
    machine.finish()
    assert machine.said[work_id] == machine.asked[work_id]
    assert machine.ends[work_id].finish is FinishReason.STOP
    stats = machine.scheduler.stats()
    assert (stats.prompt_tokens, stats.completion_tokens, stats.slots_total) == (5 + MARKS, 5, 2)
    assert stats.steps == 7, "the prompt with the first word, four more words, the end, and what clears"
    machine.is_empty()


def test_an_answer_ends_at_max_tokens_at_a_stop_string_and_at_the_end_of_the_context() -> None:
    machine = Machine(n_ctx=16)
    short = machine.ask(6, max_tokens=2)
    machine.finish()
    assert (machine.said[short], machine.ends[short].finish) == ("0.0 0.1", FinishReason.LENGTH)
    stopped = machine.ask(6, stop=(" 1.3",))
    machine.finish()
    assert (machine.said[stopped], machine.ends[stopped].finish) == ("1.0 1.1 1.2", FinishReason.STOP)
    long = machine.ask(10)
    machine.finish()
    assert (machine.said[long], machine.ends[long].finish) == ("2.0 2.1 2.2 2.3", FinishReason.LENGTH)
    machine.is_empty()


def test_a_long_prompt_is_computed_in_pieces_beside_who_speaks() -> None:
    machine = Machine(n_ctx=128, n_batch=64)
    machine.ask(8)
    machine.step()
    long = machine.ask(40)
    sizes = []
    while not machine.said[long]:
        plan = machine.step(prefill_limit=16)
        assert plan is not None
        sizes.append(sorted(len(row.tokens) for row in plan.rows))
        assert plan.prefill_tokens <= 16
    assert sizes == [[1, 16], [1, 16], [1, 10]]
    assert machine.said[machine.open[0]].split() == ["0.0", "0.1", "0.2", "0.3"]


def test_a_prompt_that_nobody_waits_beside_fills_the_whole_batch() -> None:
    machine = Machine(n_ctx=128, n_batch=64)
    machine.ask(60)
    plan = machine.step(prefill_limit=16)
    assert plan is not None
    assert plan.tokens == 62


def test_the_requests_worth_interrupting_are_those_whose_prompts_are_computed() -> None:
    machine = Machine()
    machine.ask(8)
    machine.step()
    begun = machine.ask(8)
    plan = machine.scheduler.schedule(512)
    assert plan is not None
    assert machine.scheduler.prefilling(plan) == {begun}


def test_a_request_that_cannot_begin_is_refused_and_has_no_sampler_to_free() -> None:
    machine = Machine()
    asked = work("one two")
    sequence = machine.scheduler.add(asked, machine.runner.vocabulary.encode(asked.request.prompt))
    error = PromptInvalid("no such option")
    assert machine.scheduler.refuse(sequence, error) == [Chunk(asked.id, error=error)]
    assert machine.scheduler.ended_samplers() == []
    machine.is_empty()


@pytest.mark.parametrize("error", [None, EngineLost("it died")])
def test_stopping_ends_who_runs_who_waits_and_who_stands_still(error: EngineLost | None) -> None:
    machine = Machine(slots=1)
    for _ in range(3):
        machine.ask(4)
    machine.step()
    machine.scheduler.set_paused(machine.open[0], paused=True)
    machine.step()
    assert machine.scheduler.stats().waiting == 2
    machine.hear(machine.scheduler.stop(error))
    machine.free_samplers()
    assert len(machine.ends) == 3
    assert {type(chunk.error) for chunk in machine.ends.values()} == {EngineStopped if error is None else EngineLost}
    plan = machine.step()
    assert plan is not None
    assert (plan.rows, plan.edits) == ((), (Clear(0),)), "a step that only clears"
    machine.is_empty()


def test_who_stands_still_gives_way_when_another_has_no_slot_and_goes_on_later() -> None:
    machine = Machine(slots=1)
    slow = machine.ask(6)
    machine.step()
    machine.step()
    machine.scheduler.set_paused(slow, paused=True)
    assert (machine.step(), machine.scheduler.is_idle) == (None, True)
    quick = machine.ask(3)
    machine.finish()
    assert list(machine.ends) == [quick]
    machine.scheduler.set_paused(slow, paused=False)
    machine.finish()
    assert machine.said[slow] == machine.asked[slow]
    machine.is_empty()


def test_who_stands_still_gives_way_when_another_needs_cells() -> None:
    machine = Machine(slots=2, n_ctx=16)
    slow = machine.ask(4)
    machine.step()
    quick = machine.ask(5)
    machine.step()
    machine.scheduler.set_paused(slow, paused=True)
    machine.finish()
    assert machine.said[quick] == machine.asked[quick]
    assert machine.open == [slow]
    machine.scheduler.set_paused(slow, paused=False)
    machine.finish()
    assert machine.said[slow] == machine.asked[slow]


def test_who_stands_still_in_line_may_be_passed_in_the_step_that_would_begin_it() -> None:
    machine = Machine(slots=1)
    slow, quick = machine.ask(2), machine.ask(2)
    machine.scheduler.set_paused(slow, paused=True)
    machine.finish()
    assert list(machine.ends) == [quick]
    machine.hear(machine.scheduler.cancel(slow))
    machine.finish()
    machine.free_samplers()
    machine.is_empty()


def test_cells_that_run_out_are_taken_from_the_youngest_which_goes_on_where_it_was() -> None:
    machine = Machine(slots=2, n_ctx=24)
    old = machine.ask(9)
    machine.step()
    young = machine.ask(6)
    preempted = False
    while machine.step() is not None:
        preempted = preempted or machine.scheduler.stats().waiting == 1
    assert preempted
    assert list(machine.ends) == [old, young]
    assert machine.said == machine.asked


def test_the_only_one_for_whom_the_cache_has_no_cells_is_told_so() -> None:
    machine = Machine()
    work_id = machine.ask(3)
    machine.step(outcome=StepOutcome.NO_CELLS)
    error = machine.ends[work_id].error
    assert isinstance(error, ContextLengthExceeded)
    assert "the context is used up" in error.message
    machine.step()
    machine.is_empty()


def test_a_step_that_was_given_up_is_planned_again_as_it_was() -> None:
    machine = Machine()
    machine.ask(8)
    planned = machine.step(outcome=StepOutcome.ABORTED)
    assert machine.scheduler.stats().steps == 0
    assert machine.step() == planned
    machine.finish()
    assert machine.said == machine.asked


def test_what_ended_while_its_step_was_computed_is_skipped() -> None:
    machine = Machine()
    gone, left = machine.ask(4), machine.ask(4)
    plan = machine.scheduler.schedule(512)
    assert plan is not None
    result = machine.runner.run(plan)
    machine.hear(machine.scheduler.cancel(gone))
    machine.hear(machine.scheduler.apply(plan, result))
    machine.free_samplers()
    machine.finish()
    assert machine.said[gone] == ""
    assert machine.said[left] == machine.asked[left]
    machine.is_empty()


def test_whom_the_scheduler_does_not_know_it_leaves_alone() -> None:
    machine = Machine()
    assert machine.scheduler.cancel("nobody") == []
    machine.scheduler.set_paused("nobody", paused=True)
    assert machine.scheduler.expire(1e9) == []
    assert machine.scheduler.stats() == EngineStats(slots_total=2)


def test_a_sequence_that_is_lost_or_a_slot_without_one_is_noticed() -> None:
    machine = Machine()
    machine.ask(3)
    machine.scheduler._queue.pop("")
    with pytest.raises(AssertionError, match="neither runs nor waits"):
        machine.scheduler.check()
    machine.scheduler._slots.take()
    with pytest.raises(AssertionError, match="a slot without a sequence"):
        machine.scheduler.check()


def test_a_piece_of_a_prompt_is_a_fraction_of_a_seconds_worth() -> None:
    def step_of(tokens: int) -> StepPlan:
        return StepPlan((Row(0, 0, 0, (1,) * (tokens - 1), wants_token=True), Row(1, 1, 9, (1,), wants_token=True)))

    pace = Pace()
    assert pace.prefill_limit == MIN_TOKENS
    pace.measured(step_of(MIN_TOKENS), 1.0)
    assert pace.prefill_limit == MIN_TOKENS, "a few tokens say nothing"
    pace.measured(step_of(100), 0.1)
    assert pace.prefill_limit == 150
    pace.measured(step_of(100), 0.2)
    assert pace.prefill_limit == 115, "0.7 of one millisecond and 0.3 of two make 1.3"
    pace.measured(step_of(100), 1000.0)
    assert pace.prefill_limit == MIN_TOKENS
    for _ in range(100):
        pace.measured(step_of(100), 0.0)
    assert pace.prefill_limit > 1_000_000, "a clock that did not move divides nothing by zero"


def test_newcomers_hold_up_who_speaks_by_a_piece_and_by_more_only_when_short_ones_outnumber_them() -> None:
    assert shares(20, 512, 1, [2000]) == [20], "one long prompt"
    assert shares(20, 512, 8, [2000, 30]) == [10, 10], "a long one leaves half of it to who stands behind"
    assert shares(20, 512, 1, [30] * 15) == [30] * 10 + [0] * 5, "fifteen beside one: fifteen pieces"
    assert shares(20, 512, 5, [30] * 10) == [30, 10] + [0] * 8, "ten beside five: two pieces"
    assert shares(20, 512, 9, [30] * 7) == [20] + [0] * 6
    assert shares(20, 512, 1, [2000] * 15) == [10, 10] + [0] * 13, "long ones are never more than a piece"
    assert shares(20, 100, 1, [30] * 15) == [30, 30, 30, 10] + [0] * 11, "no more than the step has room for"


@given(
    piece=st.integers(1, 100),
    budget=st.integers(0, 600),
    speaking=st.integers(1, 16),
    prompts=st.lists(st.integers(1, 3000), max_size=16),
)
def test_nobody_waits_longer_for_newcomers_than_they_gain(
    piece: int, budget: int, speaking: int, prompts: list[int]
) -> None:
    given_ = shares(piece, budget, speaking, prompts)
    assert all(0 <= one <= left for one, left in zip(given_, prompts, strict=True))
    assert sum(given_) <= budget
    assert sum(given_) <= max(piece, piece * len(prompts) / speaking)
    if prompts and budget:
        assert any(given_), "somebody goes on"


def test_short_answers_keep_a_small_share_of_the_cells_and_a_long_one_as_much_as_nobody_needs() -> None:
    machine = Machine(n_ctx=4096, n_batch=512, slots=4, queue_limit=64, queue_limit_per_owner=64, kept=24)
    for _ in range(20):
        machine.ask(60)
    machine.finish()
    assert 0 < machine.scheduler.stats().cells_cached <= 4096 // 8
    machine.ask(1000)
    machine.finish()
    assert machine.scheduler.stats().cells_cached > 1000
    machine.is_empty()


def test_a_model_that_keeps_nothing_makes_no_copies_either() -> None:
    machine = Machine(n_ctx=512, n_batch=64, slots=2, kept=0, whole=True)
    for _ in range(6):
        machine.ask(60)
    machine.finish()
    assert machine.scheduler.stats().cells_cached == 0
    machine.is_empty()


def test_what_nobody_asks_for_again_is_given_up_after_so_much_else() -> None:
    machine = Machine(n_ctx=4096, n_batch=512, life=900)
    machine.ask(400)
    machine.finish()
    assert machine.scheduler.stats().cells_cached > 400
    for asked in (False, True):  # 600 tokens each, read and said
        machine.ask(300)
        machine.finish()
        # Of each, what it read and what it said; the first one is there no more in the end.
        assert (machine.scheduler.stats().cells_cached < 1300) is asked
        machine.scheduler.check()
    machine.is_empty()


def test_what_is_asked_for_again_and_again_stays() -> None:
    machine = Machine(n_ctx=4096, n_batch=512, life=900)
    for _ in range(6):
        asked = machine.ask(300, stem=290)
        machine.finish()
    usage = machine.ends[asked].usage
    assert usage is not None
    assert usage.cached_tokens > 280
    machine.is_empty()


@pytest.mark.parametrize(
    ("metadata", "size_bytes", "gpu_layers", "life"),
    [
        ({"general.architecture": "x", "x.block_count": "6", "x.attention.head_count": "5"}, 3_000_000, 0, 2000),
        ({"general.architecture": "x", "x.block_count": "6", "x.attention.head_count": "5"}, 3_000_000, 1, None),
        ({"general.architecture": "x", "x.block_count": "6", "x.attention.head_count": "[5, 5]"}, 3_000_000, 0, None),
        ({"general.architecture": "x", "x.block_count": "0", "x.attention.head_count": "5"}, 3_000_000, 0, None),
        ({}, 3_000_000, 0, None),
        ({"general.architecture": "x", "x.block_count": "6", "x.attention.head_count": "5"}, 0, 0, None),
    ],
)
def test_the_life_of_what_is_cached_goes_by_what_a_model_says_of_itself(
    metadata: dict[str, str], size_bytes: int, gpu_layers: int, life: int | None
) -> None:
    spec = ModelSpec("m", "nowhere", n_gpu_layers=gpu_layers)
    assert life_of(spec, ModelFacts(1024, 100, size_bytes=size_bytes, metadata=metadata)) == life


def test_what_rests_is_taken_out_of_its_cells_and_brought_back_when_it_goes_on() -> None:
    machine = Machine(n_ctx=4096, n_batch=512, rest=100, stowage=Stowage(2000, 2000))
    first = machine.ask(300, stem=300)
    machine.finish()
    assert machine.scheduler.stats().cells_stowed == 0
    machine.ask(60)
    machine.finish()
    stats = machine.scheduler.stats()
    assert stats.cells_stowed > 300
    assert stats.cells_cached < 200
    again = machine.ask(300, stem=290)
    machine.finish()
    machine.scheduler.check()
    (before, after) = (machine.ends[work_id].usage for work_id in (first, again))
    assert before is not None
    assert after is not None
    assert (before.cached_tokens, after.cached_tokens) == (0, 291)
    assert machine.said[again] == machine.asked[again]
    machine.is_empty()


def test_who_finds_no_cells_takes_those_of_what_is_cached_and_memory_keeps_that() -> None:
    machine = Machine(n_ctx=800, n_batch=512, stowage=Stowage(2000, 2000))
    for number in range(4):
        machine.ask(150, owner=f"owner {number}", stem=150)
        machine.finish()
    stats = machine.scheduler.stats()
    assert stats.cells_stowed > 500, "each has 150 words twice, and there are cells for two and a half"
    for number in range(4):
        again = machine.ask(150, owner=f"owner {number}", stem=150)
        machine.finish()
        usage = machine.ends[again].usage
        assert usage is not None
        assert usage.cached_tokens > 100
    machine.is_empty()


def test_memory_has_so_much_room_and_gives_up_what_was_unused_for_longest() -> None:
    machine = Machine(n_ctx=800, n_batch=512, rest=0, stowage=Stowage(400, 400))
    for number in range(4):
        machine.ask(150, owner=f"owner {number}", stem=150)
        machine.finish()
        machine.scheduler.check()
        assert machine.scheduler.stats().cells_stowed <= 400
    first = machine.ask(150, owner="owner 0", stem=150)
    machine.finish()
    usage = machine.ends[first].usage
    assert usage is not None
    assert usage.cached_tokens == 0
    machine.is_empty()


def test_what_is_too_long_for_memory_stays_in_its_cells() -> None:
    machine = Machine(n_ctx=4096, n_batch=512, rest=0, stowage=Stowage(2000, 100))
    machine.ask(300)
    machine.finish()
    machine.ask(20)
    machine.finish()
    stats = machine.scheduler.stats()
    assert stats.cells_cached > 300
    assert 0 < stats.cells_stowed < 100
    machine.is_empty()


def test_what_could_not_be_brought_back_is_computed_anew() -> None:
    machine = Machine(n_ctx=4096, n_batch=512, rest=10, stowage=Stowage(2000, 2000))
    machine.ask(300, stem=300)
    machine.finish()
    machine.ask(20)
    machine.finish()
    again = machine.ask(300, stem=290)
    plan = machine.scheduler.schedule(512)
    assert plan is not None
    (fetch,) = (edit for edit in plan.edits if isinstance(edit, Fetch))
    machine.runner.run(StepPlan((), (*plan.edits, Clear(fetch.slot))))
    machine.hear(machine.scheduler.apply(plan, StepResult(StepOutcome.ABORTED, lost=frozenset({fetch.slot}))))
    assert machine.scheduler.stats().cells_stowed == 0
    machine.finish()
    assert machine.said[again] == machine.asked[again]
    machine.is_empty()


@pytest.mark.parametrize(
    ("cell_bytes", "gpu_layers", "rest"), [(3000, 0, 100), (30, 0, 32), (0, 0, None), (3000, 1, None)]
)
def test_what_is_costly_to_copy_rests_longer_in_its_cells(cell_bytes: int, gpu_layers: int, rest: int | None) -> None:
    metadata = {"general.architecture": "x", "x.block_count": "6", "x.attention.head_count": "5"}
    facts = ModelFacts(1024, 100, metadata=metadata, cell_bytes=cell_bytes)
    assert rest_of(ModelSpec("m", "nowhere", n_gpu_layers=gpu_layers), facts) == rest


class ThoroughPlanner(Planner):
    """Plans every step as if it were a difficult one."""

    def _only_decoding(self) -> list[Row]:
        return []


class Thorough(Scheduler):
    """Has its steps planned so."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._planner.__class__ = ThoroughPlanner


DEEDS = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 14)),
    st.tuples(st.just("cancel"), st.integers(0, 3)),
    st.tuples(st.just("pause"), st.integers(0, 3)),
    st.tuples(st.just("resume"), st.integers(0, 3)),
    st.tuples(st.just("give up"), st.integers(0, 1)),
    st.tuples(st.just("step"), st.integers(1, 5)),
)


@given(
    st.lists(DEEDS, max_size=40),
    st.sampled_from([24, 48, 400]),
    st.booleans(),
    st.sampled_from([None, 20]),
    st.sampled_from([None, 5]),
)
@settings(max_examples=100)
def test_the_short_way_to_an_easy_step_plans_what_the_long_way_does(
    deeds: list[tuple[str, int]], n_ctx: int, whole: bool, life: int | None, rest: int | None
) -> None:
    short, long = (
        Machine(
            n_ctx=n_ctx,
            slots=3,
            whole=whole,
            life=life,
            rest=rest,
            stowage=Stowage(0 if whole else 200, 200),
            planner=kind,
        )
        for kind in (Scheduler, Thorough)
    )
    ids: tuple[list[str], list[str]] = ([], [])
    for deed, number in [*deeds, ("step", 60)]:
        for machine, asked in zip((short, long), ids, strict=True):
            act(machine, asked, deed, number if deed != "step" else 0)
        for _ in range(number if deed == "step" else 0):
            one, other = short.step(), long.step()
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert (one.rows, one.edits, one.adapters) == (other.rows, other.edits, other.adapters)
                assert one.reads or all(len(row.tokens) == 1 for row in one.rows)
        assert list(short.said.values()) == list(long.said.values())
        short.scheduler.check()


def act(machine: Machine, asked: list[str], deed: str, number: int) -> None:
    """Do one of the deeds to a machine; requests are meant by their place in the order in which they came."""
    work_id = asked[-1 - number % len(asked)] if asked else "nobody"
    if deed == "ask":
        with suppress(EngineBusy):
            asked.append(machine.ask(number))
    elif deed == "cancel":
        machine.hear(machine.scheduler.cancel(work_id))
    elif deed in ("pause", "resume"):
        machine.scheduler.set_paused(work_id, paused=deed == "pause")
    elif deed == "give up":
        machine.step(512, (StepOutcome.ABORTED, StepOutcome.NO_CELLS)[number])
