"""The engine in a process of its own, as its hosts see it: the Engine protocol over the supervisor's connection.

A request that was under way when an engine died and had yielded nothing is tried once more, alone; one that ends an
engine alone is quarantined. Once text was delivered nothing is repeated: the stream ends with EngineLost.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.engine.errors import DeadlineExceeded, EngineLost, EngineStopped, stopped_by_operator
from bodhi_asgi.engine.process.plain import from_plain
from bodhi_asgi.engine.process.protocol import fingerprint
from bodhi_asgi.engine.process.quarantine import Quarantine
from bodhi_asgi.engine.process.reading import ConnectionLost
from bodhi_asgi.engine.process.supervisor import State, Supervisor
from bodhi_asgi.engine.types import EngineStats, Job, ModelFacts, ModelSpec, UnloadReason
from bodhi_asgi.messages.answers import Delta

STATS_S: Final = 2.0
"""For an answer to a question that nobody's request hangs on: an idle engine is not watched."""

MOST_TRIES: Final = 6
"""A request that never even came to its turn is sent anew so often, whatever the engines die of meanwhile."""


class ProcessEngine:
    """Implements :class:`~bodhi_asgi.engine.types.Engine`.

    All processes that name the same ``runtime_dir`` and the same spec share one engine process. ``linger_s`` is how
    long it stays when this host was its last. ``on_loaded`` and ``on_died`` are called in the event loop.
    """

    def __init__(
        self,
        spec: ModelSpec,
        *,
        runtime_dir: Path,
        linger_s: float = 10.0,
        start_timeout_s: float = 120.0,
        patience_s: float = 0.0,
        on_loading: Callable[[float], None] | None = None,
        on_loaded: Callable[[ModelFacts], None] | None = None,
        on_unloaded: Callable[[UnloadReason], None] | None = None,
        on_died: Callable[[str], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._spec = spec
        self._clock = clock or SystemClock()
        self._quarantine = Quarantine(self._clock)
        self._supervisor = Supervisor(
            spec=spec,
            runtime_dir=runtime_dir,
            linger_s=linger_s,
            start_timeout_s=start_timeout_s,
            clock=self._clock,
            patience_s=patience_s,
            on_loading=on_loading,
            on_loaded=on_loaded,
            on_unloaded=on_unloaded,
            on_died=on_died,
        )

    @property
    def state(self) -> State:
        """How it stands with the engine, seen from this host."""
        return self._supervisor.state

    @property
    def reason(self) -> str:
        """Why it is down or failed, for operators; empty while it is well."""
        return self._supervisor.reason

    @property
    def progress(self) -> float:
        """How much of the model is loaded, from 0 to 1, while it starts."""
        return self._supervisor.progress

    @property
    def restarts(self) -> int:
        """How many engines this host has seen die."""
        return self._supervisor.restarts

    @property
    def pid(self) -> int | None:
        """The engine's process id while there is a connection to it, unless it lives in another container."""
        live = self._supervisor.live
        return (live.pid or None) if live is not None else None

    async def start(self) -> ModelFacts:
        """Find the engine or start it, and wait until its model stands."""
        return (await self._supervisor.connection()).facts.result()

    async def end_load(self) -> bool:
        """End a load under way: who waits for it here gets EngineStopped, and the next request loads anew.

        Whether there was one. It goes on where another host waits for it too.
        """
        return await self._supervisor.end_start()

    async def submit(self, work: Job) -> AsyncIterator[Delta]:
        """Run one request; see :meth:`~bodhi_asgi.engine.types.Engine.submit`."""
        mark = ""  # made when it is looked for: it costs as much as sending the request
        ends_at = None if work.deadline_s is None else self._clock.monotonic() + work.deadline_s
        alone = is_announced = False
        for _ in range(MOST_TRIES):
            if self._quarantine:
                mark = mark or fingerprint(self._spec, work.request)
                self._quarantine.check(mark)
            connection = await self._supervisor.connection()
            delivered = False
            try:
                reading = connection.submit(self._with_time_left(work, ends_at), alone=alone)
            except ConnectionLost:
                continue
            try:
                while True:
                    chunk = await reading.next()
                    if chunk.error is not None:
                        raise chunk.error
                    if chunk.is_final:
                        self._supervisor.served()
                    # Without content it only says that the engine has taken the request: once is enough.
                    if chunk.is_final or chunk.has_content or not is_announced:
                        delivered = delivered or chunk.has_content
                        is_announced = True
                        yield Delta(chunk.text, chunk.finish, chunk.usage, part=chunk.part, opening=chunk.opening)
                    if chunk.is_final:
                        return
            except ConnectionLost as lost:
                if self._supervisor.is_closed:
                    raise EngineStopped(f"the engine of the model '{self._spec.name}' was closed") from None
                if lost.in_order == "stopped":
                    raise stopped_by_operator(self._spec.name) from None
                if delivered:
                    raise EngineLost("the engine ended in the middle of this answer; try again") from lost
                if reading.has_started and not lost.in_order:
                    if alone:
                        raise self._quarantine.add(mark or fingerprint(self._spec, work.request)) from None
                    alone = True
            finally:
                reading.close()
        raise EngineLost("the engine ended again and again before this request had its turn; try again later")

    async def stats(self) -> EngineStats:
        """A snapshot of the whole engine, all its hosts included; zeros while there is none, or none that answers."""
        live = self._supervisor.live
        if live is None:
            return EngineStats()
        try:
            async with asyncio.timeout(STATS_S):
                return from_plain(EngineStats, (await live.ask("stats"))["stats"])
        except (ConnectionLost, TimeoutError):
            return EngineStats()

    async def keep(self, keep_alive_s: float) -> None:
        """Stay loaded for so long without work, from now on; 0 unloads it when it is idle, a negative number never."""
        live = self._supervisor.live
        if live is not None:
            with contextlib.suppress(ConnectionLost):
                await live.ask("keep", keep_alive_s=keep_alive_s)

    async def aclose(self, *, terminate: bool = False) -> None:
        """End this host's work with EngineStopped and disconnect; the engine leaves after the linger time.

        ``terminate`` ends the engine process now, whoever else uses it: for tests and for operators.
        """
        await self._supervisor.aclose(terminate=terminate)

    def _with_time_left(self, work: Job, ends_at: float | None) -> Job:
        if ends_at is None:
            return work
        left = ends_at - self._clock.monotonic()
        if left <= 0:
            raise DeadlineExceeded("the request's deadline passed before the engine could take it")
        return replace(work, deadline_s=left)
