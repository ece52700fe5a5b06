"""The engine's own thread: take what came in, plan a step, run it, deliver what came of it; sleep when there is
nothing.

Only this loop touches the scheduler and the runner. Everybody else leaves a note in the inbox, and every submitted
request gets its final word, whatever happens.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from bodhi_asgi.engine import texts
from bodhi_asgi.engine.adapters import adapter_set
from bodhi_asgi.engine.cells import make_cells
from bodhi_asgi.engine.drafts import Drafter, Sizes
from bodhi_asgi.engine.errors import (
    CapabilityMissing,
    ContextLengthExceeded,
    EngineLost,
    EngineStopped,
    ModelLoadFailed,
    PromptInvalid,
    WorkCancelled,
)
from bodhi_asgi.engine.pace import COMPANY_S, Pace
from bodhi_asgi.engine.plan import StepOutcome, StepPlan
from bodhi_asgi.engine.pooled import PooledWorks
from bodhi_asgi.engine.runner import Runner
from bodhi_asgi.engine.scheduler import NO_DRAFTS, Scheduler
from bodhi_asgi.engine.self_test import self_test
from bodhi_asgi.engine.share import Share
from bodhi_asgi.engine.sizes import check_size, is_long, param_of
from bodhi_asgi.engine.thoughts import Thoughts
from bodhi_asgi.engine.threads import start_deep
from bodhi_asgi.engine.types import Chunk, EngineStats, Job, ModelFacts, ModelSpec, PooledWork, TextWork, Work
from bodhi_asgi.engine.workshop import CONSTRAINTS, IMAGES, TEXTS, J, Prepared, Workshop, Written
from bodhi_asgi.errors import BodhiError
from bodhi_asgi.messages.conversation import ChatPrompt
from bodhi_asgi.messages.reading import DetokenizeRequest

if TYPE_CHECKING:
    from bodhi_asgi.engine.constraints.matcher import Matcher

log = logging.getLogger(__name__)

READ_S: Final = 0.02
"""How long texts in batches may be tokenised between two steps."""

MOST_COMPANY: Final = 5
"""So many times the longest wait for company is the most that an idle engine waits in all."""

TOLD_EVERY_S: Final = 0.1
"""At most so often it is told how far a load has come; the runner says it for every tensor."""

Deliver: TypeAlias = Callable[[list[Chunk]], None]

WORKSHOP_STOP_S: Final = 3.0
"""For a compilation to come back when the engine stops; a model is rather left in memory than taken from under one."""


@dataclass(frozen=True, slots=True)
class _Cancel:
    work_id: str


@dataclass(frozen=True, slots=True)
class _Pause:
    work_id: str
    is_paused: bool


_Note: TypeAlias = "Job | Prepared | _Cancel | _Pause"


class EngineLoop:
    """Runs one model. ``deliver`` is called from the engine's thread, once per step, with all chunks of the step.

    ``loading`` is told there how much of the model is loaded, from 0 to 1.
    """

    def __init__(
        self, runner: Runner, spec: ModelSpec, deliver: Deliver, *, loading: Callable[[float], None] | None = None
    ) -> None:
        self._runner = runner
        self._spec = spec
        self._deliver = deliver
        self._loading = loading
        self._told_at_s = 0.0
        self._inbox: deque[_Note] = deque()
        self._wake = threading.Condition()
        self._is_stopping = False
        self._scheduler: Scheduler | None = None
        self._pooled: PooledWorks | None = None
        self._in_prefill: frozenset[str] = frozenset()
        self._pace = Pace()
        self._drafter: Drafter | None = None
        self._draft_sizes = Sizes(spec.speculation.tokens)
        self._share = Share(speaks=True)
        self._workshop: Workshop[Work] = Workshop(
            spec,
            CONSTRAINTS,
            prepare=runner.prepare_guides,
            make=lambda work: runner.guide(work.request),
            done=self._leave,
        )
        self._scribe: Workshop[Work | TextWork] = Workshop(
            spec, TEXTS, prepare=lambda: None, make=self._written, done=self._leave
        )
        self._gallery: Workshop[Work | TextWork] = Workshop(
            spec, IMAGES, prepare=lambda: None, make=self._written, done=self._leave
        )
        self._awaited: dict[str, Matcher | None] = {}  # given to one of these, and neither back nor given up
        self._thread: threading.Thread | None = None
        self._moves = 0
        self._is_resting = False
        self.has_ended = False
        self.ready: Future[ModelFacts] = Future()
        # Running, so that whoever stops waiting for it does not cancel it.
        self.ready.set_running_or_notify_cancel()

    @property
    def is_busy(self) -> bool:
        """Whether there is something to do, so that progress is to be expected."""
        return not self._is_resting or any(each.is_busy for each in self._workshops)

    @property
    def progress(self) -> int:
        """Grows with whatever is loaded, taken in or computed; stands still when the model hangs."""
        now_s = time.monotonic()
        if any(each.is_stuck(now_s) for each in self._workshops):
            return 0
        return self._moves + self._runner.progress + sum(each.progress for each in self._workshops)

    @property
    def _workshops(self) -> "tuple[Workshop[Work], Workshop[Work | TextWork], Workshop[Work | TextWork]]":
        return self._workshop, self._scribe, self._gallery

    def start(self) -> None:
        """Load the model in the engine's thread; :attr:`ready` has its facts or the reason why not."""
        self._thread = start_deep(self._main, f"bodhi-engine-{self._spec.name}")

    def submit(self, work: Job) -> None:
        """Run a request; its chunks are delivered, the last one final. Thread-safe."""
        with self._wake:
            if not self._is_stopping:
                self._inbox.append(work)
                self._wake.notify()
                return
        self._deliver([Chunk(work.id, error=EngineStopped("the engine is stopping"))])

    def cancel(self, work_id: str) -> None:
        """End a request, stopping its prompt in the middle of a step if need be. Thread-safe."""
        self._leave(_Cancel(work_id))
        if work_id in self._in_prefill:
            self._runner.interrupt()

    def pause(self, work_id: str) -> None:
        """Keep a request from running; it keeps its slot until another needs it. Thread-safe."""
        self._leave(_Pause(work_id, is_paused=True))

    def resume(self, work_id: str) -> None:
        """Let a paused request run on. Thread-safe."""
        self._leave(_Pause(work_id, is_paused=False))

    def stop(self) -> None:
        """End everything with EngineStopped, unload, and wait for the thread. Idempotent, thread-safe."""
        with self._wake:
            self._is_stopping = True
            self._wake.notify()
        self._runner.interrupt()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join()

    def stats(self) -> EngineStats:
        """A snapshot; what still stands in the inbox is not in it."""
        scheduler, pooled = self._scheduler, self._pooled
        if scheduler is None or pooled is None:
            return EngineStats(slots_total=self._spec.slots)
        return pooled.added_to(scheduler.stats())

    # -- the engine's thread

    def _main(self) -> None:
        try:
            facts = self._runner.load(self._advance)
            self_test(self._runner, self._spec, facts)
            self._drafter = self._runner.drafter()
            self._scheduler = Scheduler(
                self._runner.vocabulary,
                cells=make_cells(self._spec, facts),
                n_ctx=facts.n_ctx,
                n_batch=self._spec.n_batch,
                queue_limit=self._spec.queue_limit,
                queue_limit_per_owner=self._spec.queue_limit_per_owner,
            )
            self._pooled = PooledWorks(self._runner.vocabulary, facts, self._spec)
            self._share = Share(speaks=facts.generates)
        except BaseException as error:
            failure = error if isinstance(error, BodhiError) else ModelLoadFailed(self._unexpected("load", error))
            failure.__cause__ = error if failure is not error else None
            self._close(failure)
            self.ready.set_exception(failure)
            return
        self.ready.set_result(facts)
        reason: BodhiError = EngineStopped("the engine is stopping")
        try:
            self._work(self._scheduler, self._pooled, facts)
        except BaseException as error:
            log.exception("the engine's runner failed", extra={"model": self._spec.name})
            reason = EngineLost(self._unexpected("compute", error))
        finally:
            self._close(reason)

    def _advance(self, fraction: float) -> bool:
        """Told by the runner after each piece that it has loaded. Whether it shall go on."""
        self._moves += 1
        now = time.monotonic()
        if self._loading is not None and now - self._told_at_s >= TOLD_EVERY_S:
            self._told_at_s = now
            self._loading(fraction)
        return not self._is_stopping

    def _work(self, scheduler: Scheduler, pooled: PooledWorks, facts: ModelFacts) -> None:
        while self._take_in(scheduler, pooled, facts):
            self._expire(scheduler, pooled, time.monotonic())
            plan = scheduler.schedule(self._pace.prefill_limit, self._drafts(scheduler))
            if plan is not None:
                self._step(scheduler, plan)
            self._free_samplers(scheduler)
            if not pooled.is_idle:
                self._pooled_step(pooled, beside_streams=not scheduler.is_idle)

    def _expire(self, scheduler: Scheduler, pooled: PooledWorks, now_s: float) -> None:
        """End what has passed its deadline."""
        self._send(scheduler.expire(now_s))
        self._send(pooled.expire(now_s))
        if self._awaited:
            self._send([self._refused(late) for each in self._workshops for late in each.expire(now_s)])

    def _drafts(self, scheduler: Scheduler) -> Mapping[int, Sequence[int]]:
        """Guesses for the next step."""
        if self._drafter is None:
            return NO_DRAFTS
        wanted = scheduler.wanted_drafts(self._draft_sizes)
        return self._drafter.draft(wanted) if wanted else NO_DRAFTS

    def _step(self, scheduler: Scheduler, plan: StepPlan) -> None:
        self._in_prefill = scheduler.prefilling(plan)
        began = time.monotonic()
        result = self._runner.run(plan)
        self._pace.measured(plan, time.monotonic() - began)
        self._in_prefill = frozenset()
        self._moves += 1
        for row in plan.rows if self._drafter is not None and result.outcome is StepOutcome.DONE else ():
            self._draft_sizes.learn(row.sampler, row.drafts, len(result.more.get(row.slot, ())))
        self._send(scheduler.apply(plan, result))

    def _pooled_step(self, pooled: PooledWorks, *, beside_streams: bool) -> None:
        """Tokenise and compute some of the texts that are read in batches, when it is their turn."""
        began = time.monotonic()
        if not self._share.is_due(began, beside_streams=beside_streams):
            return
        self._send(pooled.read(lambda: time.monotonic() - began > READ_S))
        plan = pooled.plan(self._share.limit(self._spec.n_batch, beside_streams=beside_streams))
        if plan is not None:
            self._in_prefill = pooled.works_of(plan)
            try:
                self._send(pooled.apply(plan, self._runner.pool(plan)))
            except BodhiError as error:  # there is no room for texts of this length
                self._send(pooled.give_up(error))
            self._in_prefill = frozenset()
        self._share.measured(plan.tokens if plan is not None else 0, began, time.monotonic())
        self._moves += 1

    def _take_in(self, scheduler: Scheduler, pooled: PooledWorks, facts: ModelFacts) -> bool:
        """Read the inbox, sleeping while there is nothing to do. False when it is time to stop."""
        if not (self._inbox or self._is_stopping or scheduler.is_idle):  # what comes right now is read a step later
            return True
        with self._wake:
            while not self._inbox and not self._is_stopping and scheduler.is_idle and pooled.is_idle:
                scheduler.check()
                pooled.check()
                self._is_resting = True
                self._wake.wait(self._until_deadline(scheduler, pooled))
                self._is_resting = False
                if not self._inbox and self._until_deadline(scheduler, pooled) == 0:
                    break
            if self._is_stopping:
                return False
            notes = self._notes()
        self._read(scheduler, pooled, facts, notes)
        return self._wait_for_company(scheduler, pooled, facts)

    def _wait_for_company(self, scheduler: Scheduler, pooled: PooledWorks, facts: ModelFacts) -> bool:
        """Before the first step of an idle engine: who comes a moment later would wait for all of it."""
        until_s = time.monotonic() + MOST_COMPANY * COMPANY_S
        while (wait_s := self._pace.company_s(scheduler.tokens_to_begin)) and time.monotonic() < until_s:
            with self._wake:
                if not self._wake.wait_for(self._has_news, wait_s):
                    break
                if self._is_stopping:
                    return False
                notes = self._notes()
            self._read(scheduler, pooled, facts, notes)
        return True

    def _has_news(self) -> bool:
        return bool(self._inbox) or self._is_stopping

    def _notes(self) -> list[_Note]:
        """What stands in the inbox, taken out under the guard."""
        notes = list(self._inbox)
        self._inbox.clear()
        return notes

    def _read(self, scheduler: Scheduler, pooled: PooledWorks, facts: ModelFacts, notes: list[_Note]) -> None:
        cancelled = {note.work_id for note in notes if isinstance(note, _Cancel)}
        for note in notes:
            if isinstance(note, Prepared):
                # One that was cancelled while it was on its way is not awaited any more.
                if note.work.id in self._awaited and note.work.id not in cancelled:
                    self._welcome(scheduler, note)
            elif isinstance(note, _Cancel):
                self._send(self._cancel(scheduler, pooled, note.work_id))
            elif isinstance(note, _Pause):
                scheduler.set_paused(note.work_id, paused=note.is_paused)
                pooled.set_paused(note.work_id, paused=note.is_paused)
            elif note.id not in cancelled:  # whose client has left already is not worth tokenising
                self._take(scheduler, pooled, facts, note)

    def _take(self, scheduler: Scheduler, pooled: PooledWorks, facts: ModelFacts, job: Job) -> None:
        self._moves += 1
        try:
            if isinstance(job, Work):
                self._receive(scheduler, facts, job)
            elif isinstance(job, PooledWork):
                pooled.add(job, _deadline(job))
                self._send([Chunk(job.id)])
            elif texts.is_long(job):
                self._await(self._reader_of(job), job)
            else:
                self._send(texts.answer(job, self._runner.vocabulary, facts))
        except BodhiError as error:
            self._send([Chunk(job.id, error=error)])

    def _receive(self, scheduler: Scheduler, facts: ModelFacts, work: Work) -> None:
        """Admit a request, or have its constraint compiled first: then it comes back as a note."""
        if not facts.generates:
            raise CapabilityMissing("this model reads and does not speak; choose a chat model", param="model")
        # Before anything is made of a conversation: a constraint has it rendered to see where the answer begins.
        check_size(work.request.prompt, work.request.max_tokens, facts.n_ctx)
        if work.request.is_guided:
            self._await(self._workshop, work)
        else:
            self._read_prompt(scheduler, work, None)

    def _await(self, workshop: Workshop[J], work: J, matcher: "Matcher | None" = None) -> None:
        """Have a work prepared in a thread of its own; it comes back as a note. Raises EngineBusy."""
        workshop.submit(work)
        self._awaited[work.id] = matcher

    def _welcome(self, scheduler: Scheduler, prepared: Prepared) -> None:
        """Go on with what was prepared."""
        if prepared.error is not None:
            self._send([self._refused(prepared)])
            return
        work, matcher = prepared.work, self._awaited.pop(prepared.work.id)
        try:
            if not isinstance(prepared, Written):
                self._read_prompt(scheduler, work, prepared.made)
            elif isinstance(work, Work):
                self._admit(scheduler, work, prepared.made, matcher)
            else:
                self._send(prepared.made)
        except BodhiError as error:
            self._send([Chunk(work.id, error=error)])

    def _refused(self, prepared: Prepared) -> Chunk:
        self._awaited.pop(prepared.work.id, None)
        return Chunk(prepared.work.id, error=prepared.error)

    def _cancel(self, scheduler: Scheduler, pooled: PooledWorks, work_id: str) -> list[Chunk]:
        if work_id in self._awaited:
            del self._awaited[work_id]
            for each in self._workshops:
                each.give_up(work_id)
            self._runner.look_away(work_id)
            return [Chunk(work_id, error=WorkCancelled("the request was cancelled"))]
        return scheduler.cancel(work_id) + pooled.cancel(work_id)

    def _read_prompt(self, scheduler: Scheduler, work: Work, matcher: "Matcher | None") -> None:
        """Admit a request, or have its prompt read first where that takes so long that running streams would wait."""
        if is_long(work.request.prompt):
            self._await(self._reader_of(work), work, matcher)
        else:
            self._admit(scheduler, work, self._tokens(work), matcher)

    def _reader_of(self, work: Work | TextWork) -> "Workshop[Work | TextWork]":
        """Images take longer than any text, and a text does not wait for them."""
        prompt = None if isinstance(work.request, DetokenizeRequest) else work.request.prompt
        return self._gallery if isinstance(prompt, ChatPrompt) and prompt.images else self._scribe

    def _written(self, work: Work | TextWork) -> list[int] | list[Chunk]:
        """What a long text is in tokens. Called in the thread that reads texts."""
        if isinstance(work, Work):
            tokens = self._tokens(work)
            self._runner.look(work.id, work.request)
            return tokens
        return texts.answer(work, self._runner.vocabulary, self.ready.result())

    def _tokens(self, work: Work) -> list[int]:
        """The prompt's tokens. Raises PromptInvalid, ContextLengthExceeded."""
        prompt, n_ctx = work.request.prompt, self.ready.result().n_ctx
        tokens = self._runner.vocabulary.encode(prompt)
        if len(tokens) >= n_ctx:
            raise ContextLengthExceeded(
                f"the prompt has {len(tokens)} tokens, and the context holds {n_ctx} with the answer",
                param=param_of(prompt),
                prompt_tokens=len(tokens),
                n_ctx=n_ctx,
            )
        if not tokens:
            raise PromptInvalid("the prompt has no tokens", param=param_of(prompt))
        return tokens

    def _admit(self, scheduler: Scheduler, work: Work, tokens: list[int], matcher: "Matcher | None") -> None:
        vocabulary = self._runner.vocabulary
        try:
            adapters = adapter_set(self._spec.adapters, work.request.adapters)
            sequence = scheduler.add(work, tokens, _deadline(work), adapters)
            opening = vocabulary.opening(tokens) if isinstance(work.request.prompt, ChatPrompt) else ""
            sequence.thoughts = Thoughts(vocabulary.family.thinking, opening)
        except BodhiError as error:
            self._send([Chunk(work.id, error=error)])
            return
        try:
            self._runner.begin(sequence.number, work.request, tokens, matcher)
        except BodhiError as error:
            self._send(scheduler.refuse(sequence, error))
            return
        # An empty chunk says that the request is taken, so that a door can send its headers.
        self._send([Chunk(work.id, opening=opening)])

    def _free_samplers(self, scheduler: Scheduler) -> None:
        for number in scheduler.ended_samplers():
            self._runner.end(number)
            self._draft_sizes.forget(number)
            if self._drafter is not None:
                self._drafter.forget(number)

    def _until_deadline(self, scheduler: Scheduler, pooled: PooledWorks) -> float | None:
        works = (scheduler, pooled, *self._workshops)
        deadlines_s = (each.next_deadline_s for each in works)
        at_s = min((deadline_s for deadline_s in deadlines_s if deadline_s is not None), default=None)
        return None if at_s is None else max(0.0, at_s - time.monotonic())

    def _close(self, reason: BodhiError) -> None:
        self.has_ended = True
        with self._wake:
            self._is_stopping = True
        self._runner.look_away(None)
        closed = [each.close(WORKSHOP_STOP_S) for each in self._workshops]
        with self._wake:
            left: list[Job] = [note for note in self._inbox if isinstance(note, Job)]
            prepared = (note.work for note in self._inbox if isinstance(note, Prepared))
            left += [
                *(work for given, _ in closed for work in given),
                *(work for work in prepared if work.id in self._awaited),
            ]
            self._inbox.clear()
        for works in (self._scheduler, self._pooled):
            if works is not None:
                self._send(works.stop(reason))
        self._send([Chunk(work.id, error=reason) for work in left])
        if all(has_ended for _, has_ended in closed):
            self._runner.unload()

    def _unexpected(self, what: str, error: BaseException) -> str:
        return f"the model '{self._spec.name}' failed to {what}: {type(error).__name__}"

    def _send(self, chunks: list[Chunk]) -> None:
        if chunks:
            self._deliver(chunks)

    def _leave(self, note: _Note) -> None:
        with self._wake:
            self._inbox.append(note)
            self._wake.notify()


def _deadline(job: Job) -> float | None:
    return None if job.deadline_s is None else time.monotonic() + job.deadline_s
