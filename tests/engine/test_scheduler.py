"""The scheduler under everything that can happen to it, in any order: nothing is lost, and nothing ends twice."""

from typing import Final

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from bodhi_asgi.engine.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineBusy,
    WorkCancelled,
)
from bodhi_asgi.engine.plan import StepOutcome, StepPlan, StepResult
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.types import Chunk, ModelSpec
from bodhi_asgi.messages import FinishReason, Sampling
from tests.engine.support import work

MARKS: Final = 2
"""Tokens that the echo puts around what it is to say."""


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
    ) -> None:
        self.n_ctx, self.n_batch = n_ctx, n_batch
        self.runner = EchoRunner(ModelSpec("parrot", "nowhere", runner="echo", n_ctx=n_ctx))
        self.scheduler = Scheduler(
            self.runner.vocabulary,
            slots=slots,
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
        owner: str = "",
        max_tokens: int | None = None,
        stop: tuple[str, ...] = (),
        deadline_at_s: float | None = None,
    ) -> str:
        """Ask for so many words to be said again, different from everybody else's."""
        text = " ".join(f"{len(self.asked)}.{index}" for index in range(words))
        asked = work(text, owner=owner, max_tokens=max_tokens, stop=stop)
        tokens = self.runner.vocabulary.encode(asked.request.prompt)
        assert len(tokens) == words + MARKS
        sequence = self.scheduler.add(asked, tokens, deadline_at_s)
        self.runner.begin(sequence.number, Sampling())
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
            self.runner.run(StepPlan((), plan.clear))
            result = StepResult(outcome)
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
        """Nothing is held by anybody."""
        stats = self.scheduler.stats()
        assert (stats.running, stats.waiting, stats.slots_used, stats.cells_used) == (0, 0, 0, 0)
        assert self.scheduler.is_idle
        assert self.scheduler.next_deadline_s is None
        assert self.runner._samplers == set()
        assert self.runner._cells == {}


class AnyOrder(RuleBasedStateMachine):
    """Requests come, leave, stand still, run late, and meet a cache that is full or a step that is given up."""

    @initialize(
        slots=st.integers(1, 4),
        n_ctx=st.sampled_from([16, 24, 48]),
        n_batch=st.sampled_from([4, 8, 64]),
        queue_limit=st.integers(0, 5),
    )
    def begin(self, slots: int, n_ctx: int, n_batch: int, queue_limit: int) -> None:
        self.machine = Machine(
            slots=slots, n_ctx=n_ctx, n_batch=n_batch, queue_limit=queue_limit, queue_limit_per_owner=2
        )
        self.slots, self.queue_limit = slots, queue_limit
        self.now_s = 0.0
        self.deadlines: dict[str, float] = {}
        self.limits: dict[str, int] = {}
        self.without_cells = False

    @rule(
        owner=st.sampled_from(["", "ada", "bob"]),
        share=st.floats(0, 1),
        max_tokens=st.none() | st.integers(1, 8),
        waits_s=st.none() | st.integers(1, 20),
    )
    def add(self, owner: str, share: float, max_tokens: int | None, waits_s: int | None) -> None:
        before = self.machine.scheduler.stats()
        words = 1 + int(share * (self.machine.n_ctx - MARKS - 2))
        at_s = None if waits_s is None else self.now_s + waits_s
        try:
            work_id = self.machine.ask(words, owner=owner, max_tokens=max_tokens, deadline_at_s=at_s)
        except EngineBusy:
            assert before.slots_used == self.slots or before.waiting >= self.slots - before.slots_used
            assert self.machine.scheduler.stats() == before
            return
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
        alone = self.machine.scheduler.stats().slots_used <= 1
        before = set(self.machine.ends)
        self.machine.step(512, outcome)
        lost = {self.machine.ends[work_id] for work_id in set(self.machine.ends) - before}
        assert len(lost) <= 1
        if lost:
            assert outcome is StepOutcome.NO_CELLS
            assert alone
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
