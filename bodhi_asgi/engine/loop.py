"""The engine's own thread: take what came in, plan a step, run it, deliver what came of it; sleep when there is
nothing.

Only this loop touches the scheduler and the runner. Everybody else leaves a note in the inbox, and every submitted
request gets its final word, whatever happens.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from typing import TYPE_CHECKING, Final, TypeAlias

from bodhi_asgi.engine.adapters import adapter_set
from bodhi_asgi.engine.cells import make_cells
from bodhi_asgi.engine.drafts import Drafter, Sizes
from bodhi_asgi.engine.errors import EngineLost, EngineStopped, ModelLoadFailed, WorkCancelled
from bodhi_asgi.engine.inbox import Cancel, Inbox, Note, Pause
from bodhi_asgi.engine.manners import Prepared
from bodhi_asgi.engine.pace import COMPANY_S, Pace
from bodhi_asgi.engine.plan import StepOutcome, StepPlan
from bodhi_asgi.engine.planner import NO_DRAFTS
from bodhi_asgi.engine.pooled import PooledWorks
from bodhi_asgi.engine.preparation import Preparation
from bodhi_asgi.engine.runner import Runner
from bodhi_asgi.engine.scheduler import Scheduler
from bodhi_asgi.engine.self_test import self_test
from bodhi_asgi.engine.share import Share
from bodhi_asgi.engine.stack import Stack
from bodhi_asgi.engine.thoughts import Thoughts
from bodhi_asgi.engine.threads import start_deep
from bodhi_asgi.engine.types import Chunk, EngineStats, Job, ModelFacts, ModelSpec, PooledWork, Work
from bodhi_asgi.errors import BodhiError, Broken
from bodhi_asgi.messages.conversation import ChatPrompt

if TYPE_CHECKING:
    from bodhi_asgi.engine.constraints.matcher import Matcher

log = logging.getLogger(__name__)

MOST_COMPANY: Final = 5
"""So many times the longest wait for company is the most that an idle engine waits in all."""

TOLD_EVERY_S: Final = 0.1
"""At most so often it is told how far a load has come; the runner says it for every tensor."""

Deliver: TypeAlias = Callable[[list[Chunk]], None]

WORKSHOP_STOP_S: Final = 3.0
"""For a compilation to come back when the engine stops; of one that does not, the model is unloaded when it does."""


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
        self._inbox = Inbox()
        self._scheduler: Scheduler | None = None
        self._pooled: PooledWorks | None = None
        self._in_prefill: frozenset[str] = frozenset()
        self._pace = Pace()
        self._drafter: Drafter | None = None
        self._draft_sizes = Sizes(spec.speculation.tokens)
        self._share = Share(speaks=True)
        self._preparation = Preparation(
            runner,
            spec,
            facts=lambda: self.ready.result(),
            done=self._inbox.leave,
            admit=self._admit,
            enter=self._enter,
            send=self._send,
        )
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
        return not self._is_resting or self._preparation.is_busy

    @property
    def progress(self) -> int:
        """Grows with whatever is loaded, taken in or computed; stands still when the model hangs."""
        if self._preparation.is_stuck(time.monotonic()):
            return 0
        return self._moves + self._runner.progress + self._preparation.progress

    def start(self) -> None:
        """Load the model in the engine's thread; :attr:`ready` has its facts or the reason why not."""
        self._thread = start_deep(self._main, f"bodhi-engine-{self._spec.name}")

    def submit(self, work: Job) -> None:
        """Run a request; its chunks are delivered, the last one final. Thread-safe."""
        if not self._inbox.submit(work):
            self._deliver([Chunk(work.id, error=EngineStopped("the engine is stopping"))])

    def cancel(self, work_id: str) -> None:
        """End a request, stopping its prompt in the middle of a step if need be. Thread-safe."""
        self._inbox.leave(Cancel(work_id))
        if work_id in self._in_prefill:
            self._runner.interrupt()

    def pause(self, work_id: str) -> None:
        """Keep a request from running; it keeps its slot until another needs it. Thread-safe."""
        self._inbox.leave(Pause(work_id, is_paused=True))

    def resume(self, work_id: str) -> None:
        """Let a paused request run on. Thread-safe."""
        self._inbox.leave(Pause(work_id, is_paused=False))

    def stop(self) -> None:
        """End everything with EngineStopped, unload, and wait for the thread. Idempotent, thread-safe."""
        self._inbox.stop()
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
            self._pooled = PooledWorks(facts, self._spec)
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
            self._work(self._scheduler, self._pooled)
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
        return not self._inbox.is_stopped

    def _work(self, scheduler: Scheduler, pooled: PooledWorks) -> None:
        while self._take_in(scheduler, pooled):
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
        self._preparation.expire(now_s)

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
        """Compute some of the texts that are read in batches, when it is their turn."""
        began = time.monotonic()
        if not self._share.is_due(began, beside_streams=beside_streams):
            return
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

    def _take_in(self, scheduler: Scheduler, pooled: PooledWorks) -> bool:
        """Read the inbox, sleeping while there is nothing to do. False when it is time to stop."""
        inbox = self._inbox
        if not (inbox.has_news or scheduler.is_idle):  # what comes right now is read a step later
            return True
        while not inbox.has_news and scheduler.is_idle and pooled.is_idle:
            scheduler.check()
            pooled.check()
            self._is_resting = True
            inbox.wait(self._until_deadline(scheduler, pooled))
            self._is_resting = False
            if self._until_deadline(scheduler, pooled) == 0:
                break
        if inbox.is_stopped:
            return False
        self._read(scheduler, pooled, inbox.take())
        return self._wait_for_company(scheduler, pooled)

    def _wait_for_company(self, scheduler: Scheduler, pooled: PooledWorks) -> bool:
        """Before the first step of an idle engine: who comes a moment later would wait for all of it."""
        until_s = time.monotonic() + MOST_COMPANY * COMPANY_S
        while (wait_s := self._pace.company_s(scheduler.tokens_to_begin)) and time.monotonic() < until_s:
            if not self._inbox.wait(wait_s):
                break
            if self._inbox.is_stopped:
                return False
            self._read(scheduler, pooled, self._inbox.take())
        return True

    def _read(self, scheduler: Scheduler, pooled: PooledWorks, notes: list[Note]) -> None:
        cancelled = {note.work_id for note in notes if isinstance(note, Cancel)}
        for note in notes:
            if isinstance(note, Cancel):
                self._send(self._cancel(scheduler, pooled, note.work_id))
            elif isinstance(note, Pause):
                scheduler.set_paused(note.work_id, paused=note.is_paused)
                pooled.set_paused(note.work_id, paused=note.is_paused)
            elif isinstance(note, Prepared):
                # One that was cancelled while it was on its way is not awaited any more.
                if self._preparation.awaits(note.work.id) and note.work.id not in cancelled:
                    self._begin(note)
            elif note.id not in cancelled:  # whose client has left already is not worth tokenising
                self._moves += 1
                self._begin(note)

    def _begin(self, note: Job | Prepared) -> None:
        """Begin or go on with a request, or tell why not. A fault of ours ends this request and nobody else's."""
        job = note.work if isinstance(note, Prepared) else note
        try:
            if isinstance(note, Prepared):
                self._preparation.welcome(note)
            elif isinstance(note, Work):
                self._preparation.receive(note)
            elif isinstance(note, PooledWork):
                self._preparation.pool(Stack(note))
            else:
                self._preparation.answer(note)
        except Exception as error:
            self._send([Chunk(job.id, error=self._told(error))])

    def _cancel(self, scheduler: Scheduler, pooled: PooledWorks, work_id: str) -> list[Chunk]:
        if self._preparation.give_up(work_id):
            return [Chunk(work_id, error=WorkCancelled("the request was cancelled"))]
        return scheduler.cancel(work_id) + pooled.cancel(work_id)

    def _admit(self, work: Work, tokens: list[int], matcher: "Matcher | None") -> None:
        """Give a request its place in line, and its reader word of it. Raises EngineBusy and AdapterUnknown."""
        assert self._scheduler is not None, "requests come after the model"
        scheduler, vocabulary = self._scheduler, self._runner.vocabulary
        adapters = adapter_set(self._spec.adapters, work.request.adapters)
        sequence = scheduler.add(work, tokens, _deadline(work), adapters)
        opening = vocabulary.opening(tokens) if isinstance(work.request.prompt, ChatPrompt) else ""
        sequence.thoughts = Thoughts(vocabulary.family.thinking, opening)
        try:
            self._runner.begin(sequence.number, work.request, tokens, matcher)
        except Exception as error:
            self._send(scheduler.refuse(sequence, self._told(error)))
            return
        # An empty chunk says that the request is taken, so that a door can send its headers.
        self._send([Chunk(work.id, opening=opening)])

    def _enter(self, stack: Stack) -> None:
        """Have texts that are tokenised stand in line, and tell their reader. Raises EngineBusy."""
        assert self._pooled is not None, "requests come after the model"
        stack.deadline_at_s = _deadline(stack.work)
        self._pooled.add(stack)
        self._send([Chunk(stack.work.id)])

    def _free_samplers(self, scheduler: Scheduler) -> None:
        for number in scheduler.ended_samplers():
            self._runner.end(number)
            self._draft_sizes.forget(number)
            if self._drafter is not None:
                self._drafter.forget(number)

    def _until_deadline(self, scheduler: Scheduler, pooled: PooledWorks) -> float | None:
        works = (scheduler, pooled, self._preparation)
        deadlines_s = (each.next_deadline_s for each in works)
        at_s = min((deadline_s for deadline_s in deadlines_s if deadline_s is not None), default=None)
        return None if at_s is None else max(0.0, at_s - time.monotonic())

    def _close(self, reason: BodhiError) -> None:
        self.has_ended = True
        self._inbox.stop()
        given, _ = self._preparation.close(0.0)
        notes = self._inbox.take()
        left: list[Job] = [note for note in notes if isinstance(note, Job)]
        prepared = (note.work for note in notes if isinstance(note, Prepared))
        left += [*given, *(work for work in prepared if self._preparation.awaits(work.id))]
        for works in (self._scheduler, self._pooled):
            if works is not None:
                self._send(works.stop(reason))
        self._send([Chunk(work.id, error=reason) for work in left])
        # Only now, when everybody has his word: what is being prepared may take its time.
        _, have_ended = self._preparation.close(WORKSHOP_STOP_S)
        if have_ended:
            self._runner.unload()
        else:
            start_deep(self._unload_late, f"bodhi-unload-{self._spec.name}")

    def _unload_late(self) -> None:
        """Wait for what nobody wants any more and cannot be interrupted: it reads what would be freed."""
        self._preparation.close(None)
        self._runner.unload()

    def _told(self, error: Exception) -> BodhiError:
        """What a request is told that cannot begin."""
        if isinstance(error, BodhiError):
            return error
        log.error("a request could not be begun", exc_info=error, extra={"model": self._spec.name})
        return Broken("the request could not be begun, by a fault of the server")

    def _unexpected(self, what: str, error: BaseException) -> str:
        return f"the model '{self._spec.name}' failed to {what}: {type(error).__name__}"

    def _send(self, chunks: list[Chunk]) -> None:
        if chunks:
            self._deliver(chunks)


def _deadline(job: Job) -> float | None:
    return None if job.deadline_s is None else time.monotonic() + job.deadline_s
