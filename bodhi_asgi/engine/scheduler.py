"""What the next step computes: continuous batching as plain arithmetic, without a clock and without a thread.

Every step gives each running sequence its one token first, then fills the batch with pieces of waiting prompts, so
that a long prompt never stops the others for longer than one piece. Sequences with different adapters take turns,
because a step has one set of them. When cells run out, what is only cached goes first; then the youngest sequence gives
its own back and waits again. When the next in turn finds no place, so does the youngest of the owner who has most,
until shares are even. Everything that is added ends in exactly one final chunk.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from bodhi_asgi.engine.adapters import Turns
from bodhi_asgi.engine.cells import Cells
from bodhi_asgi.engine.drafts import MOST_STREAMS, Sizes, Wanted
from bodhi_asgi.engine.errors import (
    ContextLengthExceeded,
    DeadlineExceeded,
    EngineBusy,
    EngineStopped,
    WorkCancelled,
)
from bodhi_asgi.engine.pace import shares
from bodhi_asgi.engine.plan import AdapterSet, Drawn, Row, StepOutcome, StepPlan, StepResult
from bodhi_asgi.engine.queue import FairQueue
from bodhi_asgi.engine.runner import Vocabulary
from bodhi_asgi.engine.sequence import Sequence as Running
from bodhi_asgi.engine.types import Chunk, EngineStats, Work
from bodhi_asgi.errors import BodhiError

RETRY_AFTER_S: Final = 1.0
NOBODY: Final[frozenset[str]] = frozenset()
NO_DRAFTS: Final[Mapping[int, Sequence[int]]] = MappingProxyType({})


class Scheduler:
    """Sequences between the queue and the slots. Only the engine's loop calls it."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        cells: Cells,
        n_ctx: int,
        n_batch: int,
        queue_limit: int,
        queue_limit_per_owner: int,
    ) -> None:
        self._vocabulary = vocabulary
        self._n_ctx = n_ctx
        self._n_batch = n_batch
        self._queue_limit = queue_limit
        self._queue_limit_per_owner = queue_limit_per_owner
        self._queue: FairQueue[Running] = FairQueue(lambda sequence: sequence.work.request.priority)
        self._cells = cells
        self._slots = cells.table
        self._running: list[Running] = []  # who was let in first stands first, whenever he came
        self._parked: list[Running] = []  # paused, and without slot and cells, because others needed them
        self._sequences: dict[str, Running] = {}
        self._turns = Turns()
        self._next_number = 0
        self._ended: list[int] = []
        self._steps = 0
        self._prompt_tokens = 0
        self._completion_tokens = 0
        self._cached_tokens = 0

    def add(
        self, work: Work, tokens: list[int], deadline_at_s: float | None = None, adapters: AdapterSet = ()
    ) -> Running:
        """Stand in line. A request that finds a free slot is never refused. Raises EngineBusy."""
        self._refuse_when_full(work.owner)
        sequence = Running(self._next_number, work, tokens, deadline_at_s, adapters)
        self._queue.put(work.owner, sequence)
        self._next_number += 1
        self._sequences[work.id] = sequence
        return sequence

    def _refuse_when_full(self, owner: str) -> None:
        waiting = len(self._queue)
        free = self._slots.slots_total - self._slots.slots_used
        if waiting < free:
            return
        # Who does not read his answers would otherwise leave any number of them behind, one place after the other.
        own = self._queue.waiting(owner) + sum(sequence.work.owner == owner for sequence in self._parked)
        if waiting >= self._queue_limit + free:
            limit = f"no more than {self._queue_limit} may wait"
        elif owner and own >= self._queue_limit_per_owner + free:
            limit = f"no more than {self._queue_limit_per_owner} of one caller may wait, as {own} of yours do"
        else:
            return
        raise EngineBusy(
            f"the queue is full: this would be number {waiting + 1} in line, and {limit}; try again later",
            retry_after_s=RETRY_AFTER_S,
            position=waiting + 1,
        )

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
        if sequence is None:
            return
        sequence.is_paused = paused
        if not paused and sequence in self._parked:
            self._parked.remove(sequence)
            self._queue.put_back(sequence.work.owner, sequence)

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
        awaited = [sequence for sequence in self._running if sequence.wants_token]
        if not 0 < len(awaited) <= MOST_STREAMS:
            return []
        most = self._n_batch // len(awaited) - 1
        wanted = (
            Wanted(one.number, one.tokens, min(most, sizes.of(one.number), one.most_drafts(self._n_ctx)))
            for one in awaited
        )
        return [one for one in wanted if one.most > 0]

    def schedule(self, prefill_limit: int, drafts: Mapping[int, Sequence[int]] = NO_DRAFTS) -> StepPlan | None:
        """The next step, or None when there is nothing to compute.

        ``prefill_limit`` is the piece of a prompt for which those who wait for their next token may be held up, see
        :func:`~bodhi_asgi.engine.pace.shares`. ``drafts`` are guesses of what sequences say next, by their number.
        """
        self._cells.keep_copies(self._running)
        if not drafts and (rows := self._only_decoding()):
            return StepPlan(tuple(rows), self._cells.edits(), self._running[0].adapters, reads=False)
        for _ in range(2):  # who had to give way in the first round may be let in again in the second
            self._let_in()
            for adapters in self._turns.order(
                sequence.adapters for sequence in self._running if not sequence.is_paused
            ):
                rows = self._rows(adapters, prefill_limit, drafts)
                if rows:
                    self._turns.served(adapters)
                    return StepPlan(tuple(rows), self._cells.edits(), adapters)
        edits = self._cells.edits()
        return StepPlan((), edits) if edits else None

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
        return chunks

    def ended_samplers(self) -> list[int]:
        """Samplers of sequences that have ended since the last call."""
        ended, self._ended = self._ended, []
        return ended

    @property
    def is_idle(self) -> bool:
        """Whether nothing runs and nothing waits, or only what is paused. Who waits can always be let in then."""
        return not self._queue and all(sequence.is_paused for sequence in self._running)

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
            waiting=len(self._queue) + len(self._parked),
            slots_used=self._slots.slots_used,
            slots_total=self._slots.slots_total,
            cells_used=self._slots.cells_used,
            cells_cached=self._slots.cells_kept,
            cells_stowed=self._cells.stowed,
            steps=self._steps,
            prompt_tokens=self._prompt_tokens,
            completion_tokens=self._completion_tokens,
            cached_tokens=self._cached_tokens,
        )

    def check(self) -> None:
        """Raise AssertionError unless slots, cells and sequences agree."""
        self._cells.check()
        assert self._slots.slots_used == len(self._running), "a slot without a sequence, or the reverse"
        places = len(self._running) + len(self._queue) + len(self._parked)
        assert len(self._sequences) == places, "a sequence neither runs nor waits"

    # -- planning

    def _let_in(self) -> None:
        while (owner := self._make_way()) is not None:
            sequence = self._queue.pop(owner)
            self._cells.enter(sequence)
            self._running.append(sequence)

    def _only_decoding(self) -> list[Row]:
        """The rows of a step in which all who run have their one token, as in most steps; none where it is not so.

        There is nobody to be let in, nobody stands still, and nobody has to give anything up.
        """
        running = self._running
        if not running or self._queue or self._slots.cells_free < len(running):
            return []
        adapters = running[0].adapters
        for one in running:
            if one.pending != 1 or one.is_paused or one.adapters != adapters:
                return []
        rows = []
        for one in running:
            row = one.next_row()
            self._slots.hold(row.slot, row.position + 1)
            rows.append(row)
        return rows

    def _rows(self, adapters: AdapterSet, prefill_limit: int, drafts: Mapping[int, Sequence[int]]) -> list[Row]:
        """One step of the sequences with these adapters: the others wait for the next one."""
        rows = self._decode_rows(adapters, drafts)
        budget = self._n_batch - sum(len(row.tokens) for row in rows)
        prompts = self._ready_prompts(adapters)
        most = [one.pending for one in prompts]
        speaking = sum(sequence.wants_token for sequence in self._running)
        if speaking:
            most = shares(prefill_limit, budget, speaking, most)
        rows += self._prefill_rows(zip(prompts, most, strict=True), budget)
        # Room is made at the cost of others, who may have had their row already, and may even be back by now.
        latest = {row.sampler: row for row in rows}
        return [row for sequence in self._running if (row := latest.get(sequence.number)) and sequence.is_next(row)]

    def _decode_rows(self, adapters: AdapterSet, drafts: Mapping[int, Sequence[int]]) -> list[Row]:
        return [
            self._hold_row(sequence, 1, drafts.get(sequence.number, ()))
            for sequence in tuple(self._running)
            if sequence.wants_token and sequence.adapters == adapters and self._make_room(sequence, 1)
        ]

    def _prefill_rows(self, prompts: Iterable[tuple[Running, int]], budget: int) -> list[Row]:
        rows: list[Row] = []
        for sequence, most in prompts:
            size = min(budget, most)
            if size > 0 and sequence.slot is not None and self._make_room(sequence, sequence.fitting(1)):
                size = sequence.fitting(min(self._cells.piece(sequence, size), self._cells.available))
                rows.append(self._hold_row(sequence, size))
                budget -= size
        return rows

    def _ready_prompts(self, adapters: AdapterSet) -> list[Running]:
        """Who has a prompt to be computed and does not wait for another to compute the beginning of it."""
        ready: list[Running] = []
        ahead: dict[int, Running] = {}
        for sequence in self._running:
            if sequence.slot is None or sequence.is_paused or sequence.adapters != adapters:
                continue
            if sequence.pending > 1 and (sequence.computed or self._cells.begin(sequence, ahead)):
                ready.append(sequence)
            ahead[sequence.slot] = sequence
        return ready

    def _make_way(self) -> str | None:
        """Who is next and can be admitted now, if need be in the place of those who stand still or have most."""
        while True:
            held = Counter(sequence.work.owner for sequence in self._running)
            owner = self._queue.next_owner(held)
            if owner is None or self._fits(self._queue.peek(owner)):
                return owner
            paused = [sequence for sequence in self._running if sequence.is_paused]
            if paused:
                self._park(paused[-1])
            elif not self._take_from_who_has_most(held, held[owner] + 2):
                return None

    def _fits(self, following: Running) -> bool:
        """Whether there is room without taking cells from those who run; alone, everything fits."""
        if not self._slots.has_free_slot:
            return False
        if not self._running:
            return True
        owed = sum(sequence.owed for sequence in self._running)
        return len(following.tokens) - self._cells.shared_in_use(following) + owed < self._cells.available

    def _take_from_who_has_most(self, held: Counter[str], least: int) -> bool:
        """Have the youngest of that owner give its place back, if he has ``least`` or more; False if nobody has."""
        owner, slots = held.most_common(1)[0]
        if slots < least:
            return False
        youngest = next(sequence for sequence in reversed(self._running) if sequence.work.owner == owner)
        self._release(youngest)
        self._queue.return_to_line(owner, youngest)
        return True

    def _hold_row(self, sequence: Running, size: int, drafts: Sequence[int] = ()) -> Row:
        # Nobody gives way for a guess.
        guess = tuple(drafts[: max(0, self._cells.available - size)]) if drafts else ()
        self._cells.extend(sequence, size + len(guess))
        return sequence.row(size, guess)

    def _make_room(self, sequence: Running, cells: int) -> bool:
        """Take cells from the youngest until ``sequence`` can have its own; False when it had to give way itself."""
        while self._cells.available < cells:
            paused = [other for other in self._running if other.is_paused]
            if paused:
                self._park(paused[-1])
                continue
            youngest = self._running[-1]
            self._preempt(youngest)
            if youngest is sequence:
                return False
        return True

    def _preempt(self, sequence: Running) -> None:
        """Give cells and slot back and wait again; what was generated stays and is computed anew."""
        self._release(sequence)
        self._queue.put_back(sequence.work.owner, sequence)

    def _park(self, sequence: Running) -> None:
        """Let a paused sequence wait without a place until its reader goes on."""
        self._release(sequence)
        self._parked.append(sequence)

    def _without_cells(self) -> list[Chunk]:
        """The runner found no cells although ours add up: the cache goes, the youngest waits, or the only one ends."""
        if self._cells.forget():
            return []
        youngest = self._running[-1]
        if len(self._running) > 1:
            self._preempt(youngest)
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
        if sequence in self._parked:
            self._parked.remove(sequence)
        elif sequence.slot is None:
            self._queue.remove(sequence.work.owner, sequence)
        else:
            self._release(sequence)

    def _release(self, sequence: Running) -> None:
        self._running.remove(sequence)
        self._cells.leave(sequence)
