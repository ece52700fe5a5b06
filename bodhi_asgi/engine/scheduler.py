"""Requests on their way through the engine, as plain arithmetic, without a thread.

What is added waits until :mod:`.places` has a place for it; what runs is computed as :mod:`.planner` says; and what
comes of a step is told here. Everything that is added ends in exactly one final chunk.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.drafts import Sizes, Wanted
from bodhi_asgi.engine.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineStopped,
    WorkCancelled,
)
from bodhi_asgi.engine.places import Places
from bodhi_asgi.engine.plan import AdapterSet, Drawn, StepOutcome, StepPlan, StepResult
from bodhi_asgi.engine.planner import NO_DRAFTS, Planner
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.engine.sequence import Sequence as Running
from bodhi_asgi.engine.types import Chunk, EngineStats, Work
from bodhi_asgi.errors import BodhiError

NOBODY: Final[frozenset[str]] = frozenset()


class Scheduler:
    """Sequences between the queue and the slots. Only the engine's loop calls it.

    ``now_s`` is its clock, for nothing but how long requests take.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        cells: Cells,
        n_ctx: int,
        n_batch: int,
        queue_limit: int,
        queue_limit_per_owner: int,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self._vocabulary = vocabulary
        self._n_ctx = n_ctx
        self._cells = cells
        self._slots = cells.table
        self._places = Places(cells, queue_limit=queue_limit, queue_limit_per_owner=queue_limit_per_owner, now_s=now_s)
        self._planner = Planner(self._places, cells, n_ctx=n_ctx, n_batch=n_batch)
        # The same list and the same line, because every step looks at them.
        self._running = self._places.running
        self._queue = self._places.queue
        self._sequences: dict[str, Running] = {}
        self._next_number = 0
        self._ended: list[int] = []
        self._ahead: list[Chunk] = []  # to be delivered before what else comes of the step
        self._steps = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._cached_tokens = 0

    def add(
        self, work: Work, tokens: list[int], deadline_at_s: float | None = None, adapters: AdapterSet = ()
    ) -> Running:
        """Stand in line. A request that finds a free slot is never refused. Raises EngineBusy."""
        self._places.check_line(work.owner)
        sequence = Running(self._next_number, work, tokens, deadline_at_s, adapters)
        self._queue.put(work.owner, sequence)
        self._next_number += 1
        self._sequences[work.id] = sequence
        return sequence

    def refuse(self, sequence: Running, error: BodhiError) -> list[Chunk]:
        """End a sequence that was added and cannot begin; it has no sampler."""
        chunk = self._fail(sequence, error)
        self._ended.remove(sequence.number)
        return [chunk]

    def prefilling(self, plan: StepPlan) -> frozenset[str]:
        """The requests whose prompts a plan computes: what is worth interrupting when they are cancelled."""
        if not plan.reads:
            return NOBODY
        numbers = {row.sampler for row in plan.rows if row.is_prompt}
        return frozenset(sequence.work.id for sequence in self._running if sequence.number in numbers)

    def cancel(self, work_id: str) -> list[Chunk]:
        """End a request whose client has gone. Unknown ids are over already."""
        sequence = self._sequences.get(work_id)
        if sequence is None:
            return []
        return [self._fail(sequence, WorkCancelled("the request was cancelled"))]

    def set_paused(self, work_id: str, *, paused: bool) -> None:
        """Keep a sequence from running while its reader is slow; it keeps slot and cells until others need them."""
        sequence = self._sequences.get(work_id)
        if sequence is not None:
            self._places.set_paused(sequence, paused=paused)

    def expire(self, now_s: float) -> list[Chunk]:
        """End what has passed its deadline."""
        late = [s for s in self._sequences.values() if s.deadline_at_s is not None and s.deadline_at_s <= now_s]
        error = "the request took longer than it may; the answer is not complete"
        return [self._fail(sequence, DeadlineExceeded(error)) for sequence in late]

    def stop(self, error: BodhiError | None = None) -> list[Chunk]:
        """End everything."""
        reason = error or EngineStopped("the engine is stopping")
        return [self._fail(sequence, reason) for sequence in tuple(self._sequences.values())]

    def wanted_drafts(self, sizes: Sizes) -> list[Wanted]:
        """Who would take a guess of his next tokens; nobody when steps are full without."""
        return self._planner.wanted_drafts(sizes)

    def schedule(self, prefill_limit: int, drafts: Mapping[int, Sequence[int]] = NO_DRAFTS) -> StepPlan | None:
        """The next step, or None when there is nothing to compute. See :meth:`Planner.plan`."""
        return self._planner.plan(prefill_limit, drafts)

    def apply(self, plan: StepPlan, result: StepResult) -> list[Chunk]:
        """Take what came of a plan. Sequences that have ended since then are skipped."""
        if result.lost:
            for loser in self._running:
                if loser.slot in result.lost:
                    self._cells.lose(loser)
        if result.outcome is StepOutcome.NO_CELLS:
            return self._without_cells()
        if result.outcome is StepOutcome.ABORTED:
            return []
        self._steps += 1
        by_slot = {sequence.slot: sequence for sequence in self._running}
        chunks: list[Chunk] = []
        for row in plan.rows:
            sequence = by_slot.get(row.slot)
            if sequence is None or sequence.number != row.sampler:
                continue
            if row.follows:
                sequence.take_scores(result.scored[row.slot])
            if row.slot in result.held:
                sequence.computed += len(row.tokens) - 1
                continue
            sequence.computed += len(row.tokens) - row.drafts
            if row.drafts:
                more = result.more.get(row.slot, ())
                sequence.drafted_tokens += row.drafts
                sequence.accepted_tokens += len(more)
                chunks += self._accept_all(sequence, (result.drawn[row.slot], *more))
            elif row.wants_token and (chunk := self._accept(sequence, result.drawn[row.slot])) is not None:
                chunks.append(chunk)
        self._cells.has_computed(plan.tokens)
        if self._ahead:
            chunks, self._ahead = self._ahead + chunks, []
        return chunks

    def ended_samplers(self) -> list[int]:
        """Samplers of sequences that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits, or only what is paused. Who waits can always be let in then."""
        return self._places.is_idle

    @property
    def tokens_to_begin(self) -> int:
        """How many tokens of waiting prompts are computed nowhere yet; none once somebody runs."""
        return 0 if self._running else sum(map(self._cells.missing, self._queue.items()))

    @property
    def next_deadline_s(self) -> float | None:
        """When :meth:`expire` next has something to do."""
        return min((s.deadline_at_s for s in self._sequences.values() if s.deadline_at_s is not None), default=None)

    def stats(self) -> EngineStats:
        return EngineStats(
            running=len(self._running),
            waiting=len(self._queue) + len(self._places.parked),
            slots_used=self._slots.slots_used,
            slots_total=self._slots.slots_total,
            cells_used=self._slots.cells_used,
            cells_cached=self._slots.cells_kept,
            cells_stowed=self._cells.stowed,
            steps=self._steps,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            cached_tokens=self._cached_tokens,
            preemptions=self._places.preemptions,
        )

    def check(self) -> None:
        """Raise AssertionError unless slots, cells and sequences agree."""
        self._cells.check()
        assert self._slots.slots_used == len(self._running), "a slot without a sequence, or the reverse"
        places = len(self._running) + len(self._queue) + len(self._places.parked)
        assert len(self._sequences) == places, "a sequence neither runs nor waits"

    def _without_cells(self) -> list[Chunk]:
        """The runner found no cells although ours add up: the cache goes, the youngest waits, or the only one ends."""
        if self._cells.forget():
            return []
        youngest = self._running[-1]
        if len(self._running) > 1:
            self._places.preempt(youngest)
            return []
        return [self._fail(youngest, ContextLengthExceeded("the context is used up before the answer is complete"))]

    # -- endings

    def _accept_all(self, sequence: Running, drawn: tuple[Drawn, ...]) -> list[Chunk]:
        """Take what was drawn: behind a guess that was right the cells are there already."""
        chunks = []
        for place, one in enumerate(drawn):
            sequence.computed += place > 0
            chunk = self._accept(sequence, one)
            if chunk is not None:
                chunks.append(chunk)
                if chunk.is_final:
                    return chunks
        self._cells.take_back(sequence)
        return chunks

    def _accept(self, sequence: Running, drawn: Drawn) -> Chunk | None:
        chunk = sequence.accept(drawn, self._vocabulary, self._n_ctx)
        if sequence.ahead:
            self._ahead += sequence.ahead
            sequence.ahead = []
        if chunk is not None and chunk.is_final:
            self._end(sequence)
        return chunk

    def _fail(self, sequence: Running, error: BodhiError) -> Chunk:
        self._end(sequence)
        return Chunk(sequence.work.id, error=error)

    def _end(self, sequence: Running) -> None:
        del self._sequences[sequence.work.id]
        self._ended.append(sequence.number)
        self._prompt_tokens += sequence.prompt_tokens
        self._completion_tokens += sequence.generated
        self._cached_tokens += sequence.cached_tokens or 0
        self._places.leave(sequence)
