"""The loaded models of one server: one engine per spec, started once for all who ask, retried after a cool-down.

Which kind of engine stands behind a spec is decided here and nowhere else.
"""

import logging
import os
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from bodhi_asgi.clock import Clock, SystemClock
from bodhi_asgi.engine.errors import EngineStopped, ModelDown, ModelLoadFailed
from bodhi_asgi.engine.process.protocol import error_from_plain, error_to_plain
from bodhi_asgi.engine.single_flight import SingleFlight
from bodhi_asgi.engine.types import Engine, EngineStats, ModelFacts, ModelSpec
from bodhi_asgi.errors import BodhiError, Broken, ConfigurationInvalid

if TYPE_CHECKING:
    from bodhi_asgi.engine.client import ProcessEngine
    from bodhi_asgi.engine.engine import ThreadEngine

Isolation: TypeAlias = Literal["process", "thread"]

FIRST_COOL_DOWN_S: Final = 1.0
LAST_COOL_DOWN_S: Final = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineState:
    """How it stands with one model's engine. ``state`` is idle, starting, ready, down, failed or closed.

    ``down``: it died and is started again when it is next needed. ``reason`` is for operators, never for guests.
    """

    model: str
    state: str
    pid: int | None = None
    reason: str = ""
    restarts: int = 0

    @property
    def summary(self) -> str:
        """For health: ``ok`` while nothing is amiss, otherwise the state, and the reason where one is known."""
        if self.state in ("idle", "ready"):
            return "ok"
        return f"{self.state}: {self.reason}" if self.reason else self.state


class EnginePool:
    """All pools of a user with one ``data_dir`` share engine processes, unless ``runtime_dir`` says where to meet.

    ``on_loaded`` is called with the model's name, ``on_died`` with name and reason; the server turns them into events
    and meters.
    """

    def __init__(
        self,
        *,
        isolation: Isolation,
        data_dir: Path,
        runtime_dir: Path | None = None,
        linger_s: float = 10.0,
        start_timeout_s: float = 120.0,
        on_loaded: Callable[[str], None] | None = None,
        on_died: Callable[[str, str], None] | None = None,
        clock: Clock | None = None,
    ) -> None:
        if isolation == "process" and sys.platform == "win32":
            raise ConfigurationInvalid(
                "engine.isolation is 'process', which Windows does not support yet; set engine.isolation to 'thread'",
                param="engine.isolation",
            )
        self._isolation = isolation
        self._data_dir = data_dir
        self._runtime_dir = runtime_dir
        self._linger_s = linger_s
        self._start_timeout_s = start_timeout_s
        self._on_loaded = on_loaded
        self._on_died = on_died
        self._clock = clock or SystemClock()
        self._places: dict[ModelSpec, _Place] = {}
        self._is_closed = False

    def prepare(self) -> None:
        """Make and check the runtime directory. Raises ConfigurationInvalid, which then need not wait for a request."""
        if self._isolation == "process":
            from bodhi_asgi.engine.process.runtime import open_private

            open_private(self._meeting_place())

    async def engine(self, spec: ModelSpec) -> Engine:
        """The started engine for ``spec``. An engine that has died is started again.

        Raises the typed error of a failed start; for a while after it the same error with ``retry_after_s``, at once.
        """
        if self._is_closed:
            raise EngineStopped("the engines are closed")
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

    async def aclose(self) -> None:
        """Close every engine: a thread ends, a process is left to its linger time. Idempotent."""
        self._is_closed = True
        places, self._places = self._places, {}
        for place in places.values():
            await place.aclose()

    def _make(self, spec: ModelSpec) -> "_Place":
        def loaded(_: ModelFacts) -> None:
            if self._on_loaded is not None:
                self._on_loaded(spec.name)

        def died(reason: str) -> None:
            if self._on_died is not None:
                self._on_died(spec.name, reason)

        if self._isolation == "thread":
            from bodhi_asgi.engine.engine import ThreadEngine

            return _ThreadPlace(spec, ThreadEngine(spec), self._clock, loaded)
        from bodhi_asgi.engine.client import ProcessEngine

        engine = ProcessEngine(
            spec,
            runtime_dir=self._meeting_place(),
            linger_s=self._linger_s,
            start_timeout_s=self._start_timeout_s,
            on_loaded=loaded,
            on_died=died,
            clock=self._clock,
        )
        return _ProcessPlace(spec, engine, self._clock)

    def _meeting_place(self) -> Path:
        from bodhi_asgi.engine.process.runtime import runtime_directory

        return self._runtime_dir or runtime_directory(self._data_dir)


class _Place(ABC):
    """One spec's engine, and how its starts have gone."""

    def __init__(self, spec: ModelSpec, engine: Engine, clock: Clock) -> None:
        self.spec = spec
        self.engine = engine
        self._clock = clock
        self._starting = SingleFlight(self._start, ended=lambda: EngineStopped("the engines are closed"))
        self._error: BodhiError | None = None
        self._retry_at = 0.0
        self._cool_down_s = FIRST_COOL_DOWN_S

    @property
    @abstractmethod
    def is_standing(self) -> bool:
        """Whether the model is loaded now."""

    @abstractmethod
    def state(self) -> EngineState:
        """For health."""

    async def started(self) -> None:
        """Return once the model stands."""
        if self.is_standing:
            return
        left = self._retry_at - self._clock.monotonic()
        if self._error is not None and left > 0:
            raise _again(self._error, left)
        await self._starting.result()

    async def aclose(self) -> None:
        await self._starting.cancel()
        await self.engine.aclose()

    async def _start(self) -> None:
        try:
            await self.engine.start()
        except ConfigurationInvalid as error:
            # Not the guest's fault, and not his to read.
            log.error("an engine cannot be started here: %s", error.message, extra={"model": self.spec.name})
            self._error = ModelLoadFailed(f"the engine of the model '{self.spec.name}' cannot be started here")
            self._error.__cause__ = error
        except ModelDown:
            raise  # whoever supervises it says by itself how long it rests
        except BodhiError as error:
            self._error = error
        except Exception as error:
            log.exception("an engine could not be started", extra={"model": self.spec.name})
            self._error = Broken(f"the engine of the model '{self.spec.name}' could not be started")
            self._error.__cause__ = error
        else:
            self._error = None
            self._cool_down_s = FIRST_COOL_DOWN_S
            return
        self._retry_at = self._clock.monotonic() + self._cool_down_s
        self._cool_down_s = min(LAST_COOL_DOWN_S, 2 * self._cool_down_s)
        raise self._error


class _ProcessPlace(_Place):
    engine: "ProcessEngine"

    @property
    def is_standing(self) -> bool:
        return self.engine.state == "ready"

    def state(self) -> EngineState:
        engine = self.engine
        return EngineState(self.spec.name, engine.state, engine.pid, engine.reason, engine.restarts)


class _ThreadPlace(_Place):
    def __init__(
        self, spec: ModelSpec, engine: "ThreadEngine", clock: Clock, loaded: Callable[[ModelFacts], None]
    ) -> None:
        super().__init__(spec, engine, clock)
        self._thread = engine
        self._loaded = loaded

    @property
    def is_standing(self) -> bool:
        return self._thread.is_running

    def state(self) -> EngineState:
        if self.is_standing:
            return EngineState(self.spec.name, "ready", os.getpid())
        if self._error is not None:
            return EngineState(self.spec.name, "failed", reason=self._error.message)
        return EngineState(self.spec.name, "starting")

    async def _start(self) -> None:
        await super()._start()
        self._loaded(await self.engine.start())


def _again(error: BodhiError, left_s: float) -> BodhiError:
    """A fresh error like ``error``: raising one object again and again would pile up its traceback."""
    fresh = error_from_plain(error_to_plain(error))
    fresh.retry_after_s = left_s
    return fresh
