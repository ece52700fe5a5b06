"""A thread beside the engine's own, in which requests are prepared while running streams go on.

It takes one request at a time, within a limit of time. What takes longer is refused; it cannot be interrupted, and
while it goes on the next ones wait, or are told to come back. A thread that does not return at all makes the engine say
that it stands still, so that whoever supervises it ends it. :mod:`.manners` says what there is to be prepared.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Generic, TypeVar

from bodhi_asgi.engine.errors import DeadlineExceeded, EngineBusy
from bodhi_asgi.engine.manners import Manner, Prepared
from bodhi_asgi.engine.threads import start_deep
from bodhi_asgi.engine.turnover import Turnover
from bodhi_asgi.engine.types import ModelSpec, PooledWork, TextWork, Work
from bodhi_asgi.errors import BodhiError, Broken, Unavailable

log = logging.getLogger(__name__)

LOOK_S: Final = 0.5


J = TypeVar("J", Work, Work | TextWork, PooledWork)


@dataclass(slots=True)
class _Job(Generic[J]):
    work: J
    arrived_at_s: float
    waits_since_s: float
    began_at_s: float | None = None

    @property
    def ends_at_s(self) -> float | None:
        """The work's own deadline."""
        return None if self.work.deadline_s is None else self.arrived_at_s + self.work.deadline_s


class Workshop(Generic[J]):
    """Prepares works for one engine loop. All methods belong to the loop's thread, but for :meth:`_serve`.

    ``prepare`` does, once, what every work needs, however long that takes; ``make`` makes what is wanted of one;
    ``done`` is called in the workshop's thread. The thread starts with the first work.
    """

    def __init__(
        self,
        spec: ModelSpec,
        manner: Manner,
        *,
        prepare: Callable[[], None],
        make: Callable[[J], object],
        done: Callable[[Prepared], None],
    ) -> None:
        self._spec = spec
        self._manner = manner
        self._prepare = prepare
        self._make: Callable[[J], object] = make
        self._done = done
        self._thread: threading.Thread | None = None
        self._is_closed = False
        # Shared between the threads, under the condition; in order of arrival.
        self._changed = threading.Condition()
        self._jobs: deque[_Job[J]] = deque()
        self._at_work: _Job[J] | None = None
        self._working_since_s: float | None = None
        self._is_prepared = False
        self._moves = 0
        self._turnover = Turnover()

    @property
    def is_busy(self) -> bool:
        """Whether the thread has something to do, given up or not."""
        if self._manner.is_quiet:
            return self.is_stuck(time.monotonic())
        # Preparing says nothing of how far it has come, and may take longer than a model may stand still.
        return self._working_since_s is not None or (bool(self._jobs) and self._is_prepared)

    @property
    def progress(self) -> int:
        """Grows with what is begun and finished."""
        return self._moves

    def is_stuck(self, now_s: float) -> bool:
        """Whether one work has gone on for so long that it will hardly end."""
        since_s = self._working_since_s
        return since_s is not None and now_s - since_s > self._manner.stuck_s

    def submit(self, work: J) -> None:
        """Take a work; what came of it is told to ``done``, unless it is given up before. Raises EngineBusy."""
        with self._changed:
            self._refuse_when_full(work)
            now_s = time.monotonic()
            self._jobs.append(_Job(work, now_s, now_s))
            self._changed.notify()
        if self._thread is None:
            self._thread = start_deep(self._serve, f"bodhi-{self._manner.name}-{self._spec.name}")

    def give_up(self, work_id: str) -> bool:
        """Forget a work. False when it is not here."""
        with self._changed:
            for job in self._jobs:
                if job.work.id == work_id:
                    self._jobs.remove(job)
                    return True
            if self._at_work is not None and self._at_work.work.id == work_id:
                self._at_work = None
                return True
        return False

    def expire(self, now_s: float) -> list[Prepared]:
        """Refuse what has taken too long, or has waited too long behind that, and what has passed its own deadline."""
        late: list[Prepared] = []
        with self._changed:
            for over in [one for one in self._known() if one.ends_at_s is not None and one.ends_at_s <= now_s]:
                if over is self._at_work:
                    self._at_work = None
                else:
                    self._jobs.remove(over)
                error = DeadlineExceeded("the request took longer than it may, and was not even begun")
                late.append(self._manner.note(over.work, error=error))
            job = self._at_work
            if job is not None and job.began_at_s is not None and now_s - job.began_at_s >= self._manner.limit_s:
                self._at_work = None
                late.append(self._manner.note(job.work, error=self._manner.too_slow(job.work)))
            while self._is_prepared and self._jobs and now_s - self._jobs[0].waits_since_s >= self._manner.wait_s:
                late.append(self._manner.note(self._jobs.popleft().work, error=self._waited()))
        return late

    @property
    def next_deadline_s(self) -> float | None:
        """When :meth:`expire` next has something to do, by ``time.monotonic``."""
        with self._changed:
            job = self._at_work
            times = [job.began_at_s + self._manner.limit_s] if job is not None and job.began_at_s is not None else []
            times += [self._jobs[0].waits_since_s + self._manner.wait_s] if job is not None and self._jobs else []
            if not times and (self._jobs or job is not None):
                # The thread has not begun yet, and nobody is told when it does.
                times = [time.monotonic() + LOOK_S]
            times += [known.ends_at_s for known in self._known() if known.ends_at_s is not None]
        return min(times, default=None)

    def close(self, timeout_s: float | None) -> tuple[list[J], bool]:
        """End the thread; returns the works that are left, and whether the thread has ended within ``timeout_s``.

        Idempotent; None waits as long as it takes.
        """
        with self._changed:
            self._is_closed = True
            left = [job.work for job in self._jobs]
            left += [self._at_work.work] if self._at_work is not None else []
            self._jobs.clear()
            self._at_work = None
            self._changed.notify()
        if self._thread is None:
            return left, True
        self._thread.join(timeout_s)
        return left, not self._thread.is_alive()

    # -- the workshop's thread

    def _serve(self) -> None:
        failure: BodhiError | None = None
        try:
            self._prepare()
        except BodhiError as error:
            failure = error
        except Exception:
            log.exception("a model's vocabulary cannot be prepared", extra={"model": self._spec.name})
            failure = Unavailable("no answer of this model can be held to a form: its vocabulary cannot be read for it")
        self._become_ready()
        while (job := self._next()) is not None:
            self._finish(job, self._result(job, failure))

    def _become_ready(self) -> None:
        with self._changed:
            self._is_prepared = True
            self._moves += 1
            now_s = time.monotonic()
            for job in self._jobs:
                # The wait for its turn begins now.
                job.waits_since_s = now_s

    def _next(self) -> _Job[J] | None:
        with self._changed:
            while not self._jobs and not self._is_closed:
                self._changed.wait()
            if self._is_closed:
                return None
            job = self._at_work = self._jobs.popleft()
            job.began_at_s = self._working_since_s = time.monotonic()
            self._moves += 1
            return job

    def _result(self, job: _Job[J], failure: BodhiError | None) -> Prepared:
        try:
            if failure is not None:
                raise failure
            made = self._make(job.work)
        except BodhiError as error:
            return self._manner.note(job.work, error=error)
        except Exception:
            log.exception("a request could not be prepared", extra={"model": self._spec.name})
            broken = Broken(f"{self._manner.what} could not be {self._manner.done_to}, by a fault of the server")
            return self._manner.note(job.work, error=broken)
        if job.work.deadline_s is None:
            return self._manner.note(job.work, made)
        left_s = job.work.deadline_s - (time.monotonic() - job.arrived_at_s)
        return self._manner.note(replace(job.work, deadline_s=max(0.0, left_s)), made)

    def _known(self) -> list[_Job[J]]:
        """All works, the one at work first."""
        return [*([self._at_work] if self._at_work is not None else ()), *self._jobs]

    def _refuse_when_full(self, work: J) -> None:
        """Raise EngineBusy when the line is full, for all or for the work's owner. A thread that rests takes one."""
        is_free = self._working_since_s is None
        waiting = len(self._jobs)
        own = sum(job.work.owner == work.owner for job in self._jobs)
        if waiting >= self._spec.queue_limit + is_free:
            limit, ahead = f"no more than {self._spec.queue_limit} may wait", waiting
        elif work.owner and own >= self._spec.queue_limit_per_owner + is_free:
            limit = f"no more than {self._spec.queue_limit_per_owner} of one caller may wait, as {own} of yours do"
            ahead = own
        else:
            return
        raise EngineBusy(
            f"the queue is full: other {self._others} are being {self._manner.done_to}, this would be number "
            f"{waiting - is_free + 1} in line, and {limit}; try again later",
            retry_after_s=self._retry_after_s(ahead + 1),
            position=waiting - is_free + 1,
        )

    @property
    def _others(self) -> str:
        return f"{self._manner.what.removeprefix('the ').removesuffix('s')}s"

    def _waited(self) -> EngineBusy:
        return EngineBusy(
            f"other {self._others} are being {self._manner.done_to}; try again later",
            retry_after_s=self._retry_after_s(len(self._jobs) + 1),
            position=1,
        )

    def _retry_after_s(self, ahead: int) -> float:
        since_s = self._working_since_s
        so_far_s = 0.0 if since_s is None else time.monotonic() - since_s
        return self._turnover.retry_after_s(ahead, 1, so_far_s=so_far_s)

    def _finish(self, job: _Job[J], prepared: Prepared) -> None:
        with self._changed:
            if self._working_since_s is not None:
                self._turnover.took(time.monotonic() - self._working_since_s)
            self._working_since_s = None
            self._moves += 1
            is_awaited = self._at_work is job
            self._at_work = None
        if is_awaited:
            self._done(prepared)
