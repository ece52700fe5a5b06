"""One model's engine in its pool, how its starts have gone, and how it stands now."""

import logging
import os
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bodhi_asgi.clock import Clock
from bodhi_asgi.engine.errors import EngineStopped, ModelDown, ModelLoadFailed, NoRoomForModel
from bodhi_asgi.engine.process.protocol import error_from_plain, error_to_plain
from bodhi_asgi.engine.single_flight import SingleFlight
from bodhi_asgi.engine.types import Engine, ModelSpec
from bodhi_asgi.errors import BodhiError, Broken, ConfigurationInvalid

if TYPE_CHECKING:
    from bodhi_asgi.engine.client import ProcessEngine
    from bodhi_asgi.engine.engine import ThreadEngine

FIRST_COOL_DOWN_S: Final = 1.0
LAST_COOL_DOWN_S: Final = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class EngineState:
    """How it stands with one model's engine. ``state`` is idle, starting, ready, down, failed or closed.

    ``down``: it died and is started again when it is next needed. ``reason`` is for operators, never for guests;
    ``progress`` is how much of the model is loaded, from 0 to 1, and ``waiting`` how many here wait for that.
    """

    model: str
    state: str
    pid: int | None = None
    reason: str = ""
    restarts: int = 0
    progress: float = 0.0
    waiting: int = 0

    @property
    def summary(self) -> str:
        """For health: ``ok`` while nothing is amiss, otherwise the state, and the reason where one is known."""
        if self.state in ("idle", "ready"):
            return "ok"
        return f"{self.state}: {self.reason}" if self.reason else self.state


class Place(ABC):
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

    @property
    @abstractmethod
    def is_loading(self) -> bool:
        """Whether this host loads the model, or waits for it."""

    @abstractmethod
    def state(self) -> EngineState:
        """For health."""

    @abstractmethod
    async def end_load(self) -> bool:
        """End a load under way, with EngineStopped for all who wait for it here. Whether there was one."""

    async def started(self) -> None:
        """Return once the model stands."""
        if self.is_standing:
            return
        left = self._retry_at - self._clock.monotonic()
        if self._error is not None and left > 0:
            raise _again(self._error, left)
        await self._starting.result()

    async def aclose(self) -> None:
        """End this host's use of the engine, and a start under way."""
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
        except EngineStopped:
            raise  # somebody wanted that; nothing is wrong with the model
        except NoRoomForModel as error:
            # Nothing is wrong with the model, so the wait does not grow.
            self._error = error
            self._retry_at = self._clock.monotonic() + FIRST_COOL_DOWN_S
            raise
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


class ProcessPlace(Place):
    """An engine in a process of its own."""

    engine: "ProcessEngine"

    @property
    def is_standing(self) -> bool:
        return self.engine.state == "ready"

    @property
    def is_loading(self) -> bool:
        return self.engine.state == "starting"

    async def end_load(self) -> bool:
        return await self.engine.end_load()

    def state(self) -> EngineState:
        engine, waiting = self.engine, self._starting.waiting
        return EngineState(
            self.spec.name, engine.state, engine.pid, engine.reason, engine.restarts, engine.progress, waiting
        )


class ThreadPlace(Place):
    """An engine in a thread of this process."""

    engine: "ThreadEngine"

    @property
    def is_standing(self) -> bool:
        return self.engine.is_running

    @property
    def is_loading(self) -> bool:
        return self.engine.is_loading

    async def end_load(self) -> bool:
        return await self.engine.end_load()

    def state(self) -> EngineState:
        status = self.engine.status()
        if status is not None and status.state == "ready":
            return EngineState(self.spec.name, "ready", os.getpid(), progress=1.0)
        if self._error is not None:
            return EngineState(self.spec.name, "failed", reason=self._error.message)
        if self._starting.is_under_way or status is not None:
            progress, waiting = self.engine.progress, self._starting.waiting
            return EngineState(self.spec.name, "starting", progress=progress, waiting=waiting)
        return EngineState(self.spec.name, "idle")


def _again(error: BodhiError, left_s: float) -> BodhiError:
    """A fresh error like ``error``: raising one object again and again would pile up its traceback."""
    fresh = error_from_plain(error_to_plain(error))
    fresh.retry_after_s = left_s
    return fresh
