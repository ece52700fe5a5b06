"""The engine in a thread of the host: for scripts, notebooks and tests. A crash of the model is a crash of the host."""

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.engine.errors import EngineStopped, stopped_by_operator
from bodhi_asgi.engine.loop import EngineLoop
from bodhi_asgi.engine.mail import Mail
from bodhi_asgi.engine.occupancy import Occupancy
from bodhi_asgi.engine.room import ThreadRoom
from bodhi_asgi.engine.runner import Runner, make_runner
from bodhi_asgi.engine.single_flight import SingleFlight
from bodhi_asgi.engine.types import EngineStats, EngineStatus, Job, ModelFacts, ModelSpec, UnloadReason
from bodhi_asgi.errors import NotStarted
from bodhi_asgi.messages.answers import Delta


class ThreadEngine:
    """One model in a thread named ``bodhi-engine-<model>``; it belongs to the event loop that started it.

    ``room`` is asked for memory before each load. A load is given up ``patience_s`` after the last who waited for it
    has gone; a model without work is unloaded after its keep-alive, and loaded anew for the next request.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        room: ThreadRoom | None = None,
        patience_s: float = 0.0,
        on_loading: Callable[[float], None] | None = None,
        on_loaded: Callable[[ModelFacts], None] | None = None,
        on_unloaded: Callable[[UnloadReason], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self.spec = spec
        self.progress = 0.0
        """How much of the model is loaded, from 0 to 1."""
        self._room = room
        self._on_loading = on_loading
        self._on_loaded = on_loaded
        self._on_unloaded = on_unloaded
        self._clock = clock or SystemClock()
        self._occupancy = Occupancy(spec.keep_alive_s, self._clock.monotonic())
        self._starting = SingleFlight(self._load, ended=self._stopped, patience_s=patience_s)
        self._unloading: asyncio.Task[None] | None = None
        self._expiry: asyncio.TimerHandle | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._mail: Mail | None = None
        self._engine: EngineLoop | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_closed = False

    @property
    def is_running(self) -> bool:
        """Whether the model is loaded and its thread has not ended."""
        engine = self._engine
        is_up = engine is not None and not engine.has_ended and engine.ready.done()
        return is_up and self._unloading is None

    @property
    def is_loading(self) -> bool:
        """Whether a load is under way, or waits for memory."""
        return self._starting.is_under_way

    @property
    def idle_s(self) -> float:
        """How long it has had no work."""
        return self._occupancy.idle_s(self._clock.monotonic()) or 0.0

    @property
    def may_leave(self) -> bool:
        """Whether it can be unloaded to make room for another."""
        return self.is_running and self._occupancy.may_leave(self._clock.monotonic())

    async def start(self) -> ModelFacts:
        """Load the model in its thread, again if that had ended. Idempotent.

        Raises ModelLoadFailed, NoRoomForModel, MissingDependency, EngineStopped.
        """
        self._refuse_when_closed()
        if self.is_running:
            assert self._engine is not None
            return self._engine.ready.result()
        return await self._starting.result()

    async def submit(self, work: Job) -> AsyncGenerator[Delta]:
        """Run one request; see :class:`~bodhi_asgi.engine.types.Engine`."""
        self._refuse_when_closed()
        if self._loop is not asyncio.get_running_loop():
            raise NotStarted("the engine is not started in this event loop")
        while not self.is_running:
            await self.start()
        engine, mail, occupancy = self._engine, self._mail, self._occupancy
        assert engine is not None
        assert mail is not None
        mailbox = mail.open(work.id)
        occupancy.began(work.keep_alive_s)
        engine.submit(work)
        is_over = False
        try:
            while not is_over:
                chunk = await mailbox.get()
                is_over = chunk.is_final
                if isinstance(chunk.error, EngineStopped):
                    raise self._stopped()
                if chunk.error is not None:
                    raise chunk.error
                mail.has_read(work.id, mailbox)
                yield Delta(chunk.text, chunk.finish, chunk.usage, part=chunk.part, opening=chunk.opening)
        finally:
            mail.close(work.id)
            if not is_over:
                engine.cancel(work.id)
            occupancy.ended(self._clock.monotonic())
            self._rest()

    async def stats(self) -> EngineStats:
        return self._engine.stats() if self._engine is not None else EngineStats(slots_total=self.spec.slots)

    async def keep(self, keep_alive_s: float) -> None:
        """Stay loaded for so long without work, from now on; 0 unloads it when it is idle, a negative number never."""
        self._occupancy.keep(keep_alive_s)
        self._rest()

    def status(self) -> EngineStatus | None:
        """How it is, or None while nothing is loaded."""
        engine, now = self._engine, self._clock.monotonic()
        taken = 0 if self._room is None else self._room.reserved_bytes(self)
        found = EngineStatus("thread", self.spec.name, "loading", os.getpid(), self.progress, taken, hosts=1)
        found = replace(found, files=self.spec.files)
        if engine is None or engine.has_ended:
            return found if self.is_loading else None
        if not self.is_running:
            return replace(found, state="leaving") if self._unloading is not None else found
        stats, expires_at = engine.stats(), self._occupancy.expires_at
        return replace(
            found,
            state="ready",
            progress=1.0,
            n_ctx=engine.ready.result().n_ctx,
            under_way=self._occupancy.under_way,
            running=stats.running,
            waiting=stats.waiting,
            slots=stats.slots_total,
            idle_s=self._occupancy.idle_s(now),
            expires_in_s=None if expires_at is None else max(0.0, expires_at - now),
            may_leave=self.may_leave,
        )

    async def unload(self, reason: UnloadReason) -> None:
        """End all work with EngineStopped and unload; the next request loads it again. Idempotent.

        A load under way is left alone; :meth:`end_load` ends that.
        """
        if self._unloading is None and self._engine is not None and not self.is_loading:
            self._unloading = asyncio.get_running_loop().create_task(self._stop(self._engine))
            self._unloading.add_done_callback(lambda _: self._has_unloaded(reason))
        if self._unloading is not None:
            await asyncio.shield(self._unloading)

    async def end_load(self) -> bool:
        """End a load under way: who waits for it gets EngineStopped, and the next request loads anew.

        Whether there was one.
        """
        return await self._starting.give_up()

    async def expire(self) -> None:
        """Unload the model if its keep-alive is over. Called by a timer of its own."""
        expires_at = self._occupancy.expires_at
        if self.is_running and expires_at is not None:
            if expires_at <= self._clock.monotonic():
                await self.unload("idle")
            else:
                self._rest()

    async def aclose(self) -> None:
        """End all work with EngineStopped and unload. Idempotent."""
        self._is_closed = True
        self._on_unloaded = None
        if self._expiry is not None:
            self._expiry.cancel()
        await self._starting.cancel()
        await self.unload("ended")

    # -- loading and unloading

    def _make_runner(self) -> Runner:
        """What computes the tokens; a stand-in brings its own."""
        return make_runner(self.spec)

    async def _load(self) -> ModelFacts:
        if self._unloading is not None:
            await asyncio.shield(self._unloading)
        self._loop = asyncio.get_running_loop()
        self._has_progressed(0.0)
        if self._room is not None:
            await self._room.reserve(self)
        mail = self._mail = Mail(self._loop)
        try:
            engine = self._engine = EngineLoop(self._make_runner(), self.spec, mail.deliver, loading=self._loading)
            mail.engine = engine
            engine.start()
            facts = await asyncio.shield(asyncio.wrap_future(engine.ready))
        except BaseException:
            await self._stop(self._engine)
            raise
        self._occupancy = Occupancy(self.spec.keep_alive_s, self._clock.monotonic())
        self._rest()
        if self._on_loaded is not None:
            self._on_loaded(facts)
        return facts

    async def _stop(self, engine: EngineLoop | None) -> None:
        try:
            if engine is not None:
                await asyncio.to_thread(engine.stop)
        finally:
            self._engine = None
            if self._room is not None:
                self._room.release(self)

    def _has_unloaded(self, reason: UnloadReason) -> None:
        self._unloading = None
        if self._on_unloaded is not None:
            self._on_unloaded(reason)

    def _rest(self) -> None:
        """Look again when the keep-alive will be over, if there is no work until then."""
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        expires_at = self._occupancy.expires_at
        if expires_at is not None and self._loop is not None and not self._is_closed:
            in_s = max(0.0, expires_at - self._clock.monotonic())
            self._expiry = self._loop.call_later(in_s, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        assert self._loop is not None
        expiring = self._loop.create_task(self.expire(), name="bodhi-engine-expiry")
        self._tasks.add(expiring)
        expiring.add_done_callback(self._tasks.discard)

    def _loading(self, fraction: float) -> None:
        """Called in the engine's thread."""
        assert self._loop is not None
        with contextlib.suppress(RuntimeError):  # the event loop is closed
            self._loop.call_soon_threadsafe(self._has_progressed, fraction)

    def _has_progressed(self, fraction: float) -> None:
        self.progress = fraction
        if self._on_loading is not None and not self.is_running:
            self._on_loading(fraction)

    def _stopped(self) -> EngineStopped:
        return EngineStopped("the engine is closed") if self._is_closed else stopped_by_operator(self.spec.name)

    def _refuse_when_closed(self) -> None:
        if self._is_closed:
            raise self._stopped()
