"""Texts that are read and not answered: embeddings and ranks, many texts to a batch, whoever they belong to.

Plain arithmetic like the scheduler's. Owners take turns text by text, and so do the requests of one owner. Texts are
tokenised, all of a request, before it comes here, so that one which does not fit is refused before it costs anything.
Everything that is added ends in exactly one final chunk.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from bodhi_asgi.engine.errors import DeadlineExceeded, EngineBusy, PromptInvalid, WorkCancelled
from bodhi_asgi.engine.plan import StepOutcome
from bodhi_asgi.engine.pooled_plan import Passage, PooledPlan, PooledResult
from bodhi_asgi.engine.stack import Stack
from bodhi_asgi.engine.turnover import Turnover
from bodhi_asgi.engine.types import Chunk, EngineStats, ModelFacts, ModelSpec
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.answers import FinishReason, Vectors

VALUE_BYTES: Final = 4

PIECE_BYTES: Final = 1024 * 1024
"""Of vectors in one chunk, which has to fit a frame of the engine's socket."""


class PooledWorks:
    """Requests between the line and the runner. Only the engine's loop calls it.

    ``now_s`` is its clock, for nothing but how long requests take.
    """

    def __init__(self, facts: ModelFacts, spec: ModelSpec, *, now_s: Callable[[], float] = time.monotonic) -> None:
        self._now_s = now_s
        self._turnover = Turnover()
        self._facts = facts
        self._n_batch = spec.n_batch
        # As many as could be under way and in line if these were chats.
        self._limit = spec.slots + spec.queue_limit
        self._limit_per_owner = spec.slots + spec.queue_limit_per_owner
        self._stacks: dict[str, Stack] = {}
        # The order of the owners, and of the stacks of one owner, is the order of their turns.
        self._lines: dict[str, deque[Stack]] = {}
        self._partial: Stack | None = None
        self._planned: list[Stack] = []
        self._steps = 0
        self._tokens = 0

    # -- who is in

    def add(self, stack: Stack) -> None:
        """Stand in line with texts that are tokenised. Raises EngineBusy."""
        assert stack.is_read, "a text that is not tokenised cannot be planned"
        work = stack.work
        self._refuse_when_full(work.owner)
        stack.began_at_s = self._now_s()
        self._stacks[work.id] = stack
        self._lines.setdefault(work.owner, deque()).append(stack)

    def cancel(self, work_id: str) -> list[Chunk]:
        """End a request whose client has gone. Unknown ids are over already."""
        stack = self._stacks.get(work_id)
        return [] if stack is None else [self._fail(stack, WorkCancelled("the request was cancelled"))]

    def set_paused(self, work_id: str, *, paused: bool) -> None:
        """Compute nothing more for a reader who is slow to take what there is."""
        stack = self._stacks.get(work_id)
        if stack is None:
            return
        stack.is_paused = paused
        if paused and stack is self._partial:
            self._drop_partial()

    def expire(self, now_s: float) -> list[Chunk]:
        """End what has passed its deadline."""
        late = [s for s in self._stacks.values() if s.deadline_at_s is not None and s.deadline_at_s <= now_s]
        error = "the request took longer than it may; the answer is not complete"
        return [self._fail(stack, DeadlineExceeded(error)) for stack in late]

    def stop(self, error: BodhiError) -> list[Chunk]:
        """End everything."""
        return [self._fail(stack, error) for stack in tuple(self._stacks.values())]

    @property
    def is_idle(self) -> bool:
        """Whether there is nothing to do, or only for readers who do not read."""
        return all(stack.is_paused for stack in self._stacks.values())

    @property
    def next_deadline_s(self) -> float | None:
        """When :meth:`expire` next has something to do."""
        return min((s.deadline_at_s for s in self._stacks.values() if s.deadline_at_s is not None), default=None)

    def added_to(self, stats: EngineStats) -> EngineStats:
        """The snapshot with what is here: a request runs from its first text on."""
        stacks = tuple(self._stacks.values())
        running = sum(stack.done > 0 or stack is self._partial for stack in stacks)
        return replace(
            stats,
            running=stats.running + running,
            waiting=stats.waiting + len(stacks) - running,
            steps=stats.steps + self._steps,
            prompt_tokens=stats.prompt_tokens + self._tokens,
        )

    def check(self) -> None:
        """Raise AssertionError unless lines and requests agree."""
        assert sum(map(len, self._lines.values())) == len(self._stacks), "a request stands in no line, or in two"
        assert self._partial is None or self._partial.work.id in self._stacks, "a text without its request"

    # -- steps

    def plan(self, limit: int) -> PooledPlan | None:
        """The next batch of at most ``limit`` tokens, or of one text that is longer and has to be read in one piece."""
        self._planned = []
        for stack in self._stacks.values():
            stack.planned = stack.done
        first = self._partial or self._next(None)
        if first is None:
            return None
        ranks = first.ranks
        passages: list[Passage] = []
        cells = max(self._n_batch, len(first.texts[first.planned]))
        slots = [first.slot, *(slot for slot in range(self._facts.texts_at_once) if slot != first.slot)]
        following: Stack | None = first
        for slot in slots:
            if following is None:
                break
            passage = self._passage(following, slot, limit, cells, is_first=not passages)
            if passage is None:
                break
            passages.append(passage)
            self._planned.append(following)
            self._took_its_turn(following)
            limit -= len(passage.tokens)
            cells -= passage.end
            following = self._next(ranks)
        return PooledPlan(tuple(passages), ranks)

    def works_of(self, plan: PooledPlan | None) -> frozenset[str]:
        """The only request of a plan, which is worth interrupting when it is cancelled; nobody where there are more."""
        works = frozenset(stack.work.id for stack in self._planned) if plan else frozenset()
        return works if len(works) == 1 else frozenset()

    def apply(self, plan: PooledPlan, result: PooledResult) -> list[Chunk]:
        """Take what came of the last plan; nothing, where it was interrupted, which is then planned again."""
        if result.outcome is not StepOutcome.DONE:
            self._drop_partial()
            return []
        self._partial = None
        self._steps += 1
        self._tokens += plan.tokens
        rows: dict[Stack, list[bytes]] = {}
        chunks: list[Chunk] = []
        for stack, passage in zip(self._planned, plan.passages, strict=True):
            if stack.work.id not in self._stacks:
                continue
            if not passage.is_last:
                self._partial = stack
                stack.computed, stack.slot = passage.end, passage.slot
                continue
            vector = result.vectors[passage.slot]
            if not vector:
                chunks.append(self._fail(stack, _not_finite(stack)))
                rows.pop(stack, None)
                continue
            stack.done += 1
            stack.computed = 0
            rows.setdefault(stack, []).append(vector)
        for stack, found in rows.items():
            chunks += self._chunks(stack, found)
        return chunks

    def give_up(self, error: BodhiError) -> list[Chunk]:
        """End the requests of the last plan, which cannot be carried out."""
        return [self._fail(stack, error) for stack in dict.fromkeys(self._planned)]

    # -- inside

    def _refuse_when_full(self, owner: str) -> None:
        here, own = len(self._stacks), len(self._lines.get(owner, ()))
        if here >= self._limit:
            limit, ahead, share = f"no more than {self._limit} may wait", here + 1, here
        elif owner and own >= self._limit_per_owner:
            limit = f"no more than {self._limit_per_owner} of one caller may wait, as {own} of yours do"
            ahead, share = own + 1, own
        else:
            return
        # All take turns, so that each has been served since it came.
        so_far_s = self._now_s() - sum(stack.began_at_s for stack in self._stacks.values()) / here
        raise EngineBusy(
            f"the queue is full: this would be number {here + 1} in line, and {limit}; try again later",
            retry_after_s=self._turnover.retry_after_s(ahead, share, so_far_s=so_far_s),
            position=here + 1,
        )

    def _next(self, ranks: bool | None) -> Stack | None:
        """Whose text is next; with ``ranks`` given, among requests of that kind."""
        for line in self._lines.values():
            for stack in line:
                if stack.has_next and (ranks is None or stack.ranks == ranks):
                    return stack
        return None

    def _took_its_turn(self, stack: Stack) -> None:
        stack.planned += 1
        owner = stack.work.owner
        line = self._lines.pop(owner)
        line.remove(stack)
        line.append(stack)
        self._lines[owner] = line

    def _passage(self, stack: Stack, slot: int, limit: int, cells: int, *, is_first: bool) -> Passage | None:
        text = stack.texts[stack.planned]
        begin = stack.computed if stack is self._partial and is_first else 0
        room = min(limit, cells - begin)
        if self._facts.reads_in_pieces:
            size = min(room, len(text) - begin)
        else:
            size = len(text) if is_first or len(text) <= room else 0
        if size <= 0:
            return None
        tokens = tuple(text[begin : begin + size])
        return Passage(slot, begin, tokens, len(text), stack.dimensions)

    def _drop_partial(self) -> None:
        if self._partial is not None:
            self._partial.computed = 0
            self._partial = None

    def _chunks(self, stack: Stack, rows: list[bytes]) -> list[Chunk]:
        each = max(1, PIECE_BYTES // len(rows[0]))
        parts = [b"".join(rows[begin : begin + each]) for begin in range(0, len(rows), each)]
        chunks = [Chunk(stack.work.id, part=Vectors(len(rows[0]) // VALUE_BYTES, data)) for data in parts]
        if stack.done == stack.size:
            self._remove(stack)
            chunks[-1] = replace(chunks[-1], finish=FinishReason.STOP, usage=stack.usage)
        return chunks

    def _fail(self, stack: Stack, error: BodhiError) -> Chunk:
        self._remove(stack)
        return Chunk(stack.work.id, error=error)

    def _remove(self, stack: Stack) -> None:
        if stack is self._partial:
            self._drop_partial()
        self._turnover.took(self._now_s() - stack.began_at_s)
        del self._stacks[stack.work.id]
        line = self._lines[stack.work.owner]
        line.remove(stack)
        if not line:
            del self._lines[stack.work.owner]


def _not_finite(stack: Stack) -> PromptInvalid:
    param = stack.param(stack.done)
    return PromptInvalid(f"the model's numbers for '{param}' are not finite; change the text", param=param)
