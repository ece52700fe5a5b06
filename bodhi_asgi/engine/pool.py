"""The models of one server: one engine per spec, started once for all who ask, retried after a cool-down, and unloaded.

Which kind of engine stands behind a spec is decided here and nowhere else.
"""

import asyncio
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.engine.errors import EngineAtWork, EngineStopped
from bodhi_asgi.engine.place import EngineState, Place, ProcessPlace, ThreadPlace
from bodhi_asgi.engine.room import ThreadRoom
from bodhi_asgi.engine.types import Engine, EngineStats, EngineStatus, ModelFacts, ModelSpec, UnloadReason
from bodhi_asgi.errors import ConfigurationInvalid

if TYPE_CHECKING:
    from bodhi_asgi.engine.engine import ThreadEngine

Isolation: TypeAlias = Literal["process", "thread"]

MakeThreadEngine: TypeAlias = Callable[..., "ThreadEngine"]
"""Takes what :class:`~bodhi_asgi.engine.engine.ThreadEngine` takes."""

GONE_S: Final = 15.0
"""How long an engine that was told to leave is waited for."""


@dataclass(frozen=True, slots=True)
class Watchers:
    """Whom a pool tells, by the model's name: how much of it is loaded (from 0 to 1), that it stands, why it was
    unloaded, and why its engine died; and that somebody wants the engine of a spec."""

    loading: Callable[[str, float], None] | None = None
    loaded: Callable[[str, ModelFacts], None] | None = None
    unloaded: Callable[[str, UnloadReason], None] | None = None
    died: Callable[[str, str], None] | None = None
    wanted: Callable[[ModelSpec], None] | None = None


class EnginePool:
    """All pools of a user with one ``data_dir`` share engine processes, unless ``runtime_dir`` says where to meet.

    A load is given up ``patience_s`` after the last who waited for it has gone. What happens to engines is told to
    ``watchers``; the server makes events and meters of it. ``thread_engine`` makes the engines of threads.
    """

    def __init__(
        self,
        *,
        isolation: Isolation,
        data_dir: Path,
        runtime_dir: Path | None = None,
        linger_s: float = 10.0,
        start_timeout_s: float = 120.0,
        patience_s: float = 2.0,
        watchers: Watchers | None = None,
        clock: Clock | None = None,
        thread_engine: MakeThreadEngine | None = None,
    ) -> None:
        # Locks of the kernel are how the processes of one machine agree on an engine.
        if isolation == "process" and (sys.platform == "win32" or find_spec("fcntl") is None):
            raise ConfigurationInvalid(
                "engine.isolation is 'process', which this system has no locks for: Windows is not supported in it "
                "yet; set engine.isolation to 'thread'",
                param="engine.isolation",
            )
        self._isolation = isolation
        self._data_dir = data_dir
        self._runtime_dir = runtime_dir
        self._linger_s = linger_s
        self._start_timeout_s = start_timeout_s
        self._patience_s = patience_s
        self._watchers = watchers or Watchers()
        self._clock = clock or SystemClock()
        self._thread_engine = thread_engine
        self._places: dict[ModelSpec, Place] = {}
        self._room = ThreadRoom()
        self._is_closed = False

    def prepare(self) -> None:
        """Make and check the runtime directory. Raises ConfigurationInvalid, which then need not wait for a request."""
        if self._isolation == "process":
            from bodhi_asgi.engine.process.runtime import open_private

            open_private(self._meeting_place())

    async def engine(self, spec: ModelSpec) -> Engine:
        """The started engine for ``spec``. An engine that has died, or was unloaded, is started again.

        Raises the typed error of a failed start; for a while after it the same error with ``retry_after_s``, at once.
        """
        if self._is_closed:
            raise EngineStopped("the engines are closed")
        if self._watchers.wanted is not None:
            self._watchers.wanted(spec)
        place = self._places.get(spec)
        if place is None:
            place = self._places[spec] = self._make(spec)
        await place.started()
        return place.engine

    def states(self) -> dict[str, EngineState]:
        """One row per model that was asked for, by name."""
        return {spec.name: place.state() for spec, place in self._places.items()}

    async def stats(self) -> dict[str, EngineStats]:
        """What runs and waits in every engine that stands, by the model's name."""
        standing = {spec.name: place.engine for spec, place in self._places.items() if place.is_standing}
        return {name: await engine.stats() for name, engine in standing.items()}

    async def engines(self) -> list[EngineStatus]:
        """Every engine that is loaded or being loaded, by model: of all who share them, in processes of their own."""
        if self._isolation == "thread":
            found = [place.engine.status() for place in self._places.values() if isinstance(place, ThreadPlace)]
            return sorted((status for status in found if status is not None), key=lambda status: status.model)
        from bodhi_asgi.engine.process import census

        return await census.engines(self._meeting_place())

    async def unload(self, model: str, *, force: bool = False) -> int:
        """Unload every engine of that model; how many there were, those included that were being loaded.

        Raises EngineAtWork when one is loading or at work, unless ``force`` ends that: then those who waited for it, or
        read an answer of it, get EngineStopped. By force the process of one that does not answer is ended too, and what
        it was at is lost.
        """
        found = [status for status in await self.engines() if status.model == model]
        places = [place for place in self._places.values() if place.spec.name == model]
        loading = [place for place in places if place.is_loading]
        if not force:
            busy = [status for status in found if status.state == "loading" or status.under_way]
            if not busy and loading:  # the process is not even there yet, or what it needs not reserved
                busy.append(EngineStatus(key="", model=model, state="loading"))
            if busy:
                raise at_work(busy[0])
        for place in loading:
            await place.end_load()
        if self._isolation == "thread":
            await asyncio.gather(
                *(place.engine.unload("stopped") for place in places if isinstance(place, ThreadPlace))
            )
        else:
            await asyncio.gather(*(self._retire(status, force=force) for status in found))
        return max(len(found), len(loading))

    async def aclose(self) -> None:
        """Close every engine: a thread ends, a process is left to its linger time. Idempotent."""
        self._is_closed = True
        places, self._places = self._places, {}
        for place in places.values():
            await place.aclose()

    async def _retire(self, status: EngineStatus, *, force: bool) -> None:
        from bodhi_asgi.engine.process import census
        from bodhi_asgi.engine.process.runtime import EnginePaths

        paths = EnginePaths(self._meeting_place(), status.key)
        is_leaving = await census.retire(paths, "stopped", force=force)
        if not (is_leaving or force):
            raise at_work(status)
        is_gone = is_leaving and await census.gone(paths, GONE_S)
        if force and not is_gone and not await census.ended(paths, GONE_S):
            raise EngineAtWork(
                f"the engine of '{status.model}' does not answer and cannot be ended from here; end its process, "
                f"{status.pid}",
                model=status.model,
            )

    def _make(self, spec: ModelSpec) -> Place:
        tell = self._watchers
        if self._isolation == "thread":
            from bodhi_asgi.engine.engine import ThreadEngine

            make = self._thread_engine or ThreadEngine
            return ThreadPlace(
                spec,
                make(
                    spec,
                    room=self._room,
                    patience_s=self._patience_s,
                    on_loading=tell.loading and partial(tell.loading, spec.name),
                    on_loaded=tell.loaded and partial(tell.loaded, spec.name),
                    on_unloaded=tell.unloaded and partial(tell.unloaded, spec.name),
                    clock=self._clock,
                ),
                self._clock,
            )
        from bodhi_asgi.engine.client import ProcessEngine

        engine = ProcessEngine(
            spec,
            runtime_dir=self._meeting_place(),
            linger_s=self._linger_s,
            start_timeout_s=self._start_timeout_s,
            patience_s=self._patience_s,
            on_loading=tell.loading and partial(tell.loading, spec.name),
            on_loaded=tell.loaded and partial(tell.loaded, spec.name),
            on_unloaded=tell.unloaded and partial(tell.unloaded, spec.name),
            on_died=tell.died and partial(tell.died, spec.name),
            clock=self._clock,
        )
        return ProcessPlace(spec, engine, self._clock)

    def _meeting_place(self) -> Path:
        from bodhi_asgi.engine.process.runtime import runtime_directory

        return self._runtime_dir or runtime_directory(self._data_dir)


def at_work(status: EngineStatus) -> EngineAtWork:
    """The refusal to unload it."""
    doing = f"answers {status.under_way} requests" if status.under_way else "is being loaded, or waited for"
    if status.state == "silent":
        doing = "does not answer"
    return EngineAtWork(
        f"the model '{status.model}' {doing}; wait until it is idle, or force it, which ends them",
        model=status.model,
        under_way=status.under_way,
    )
