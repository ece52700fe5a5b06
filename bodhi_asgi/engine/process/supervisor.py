"""Keeps one host connected to one engine: finds it or starts it, notices its end, says why, starts it anew on demand.

Any number of hosts may do this at once: each starts a candidate when nobody listens, the lock lets one of them in, and
all end up connected to that one.
"""

import asyncio
import contextlib
import logging
import random
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final, Literal, TypeAlias

from bodhi_asgi.clock import Clock
from bodhi_asgi.engine.errors import EngineStopped, ModelDown, ModelLoadFailed, stopped_by_operator
from bodhi_asgi.engine.process import last_words
from bodhi_asgi.engine.process.breaker import FIRST_BACKOFF_S, Breaker
from bodhi_asgi.engine.process.connection import EngineConnection
from bodhi_asgi.engine.process.election import EXIT_LOST_ELECTION
from bodhi_asgi.engine.process.launch import Candidate, launch
from bodhi_asgi.engine.process.peer import send_signal
from bodhi_asgi.engine.process.reading import ConnectionLost, EngineSilent
from bodhi_asgi.engine.process.runtime import EnginePaths, open_private, spec_key
from bodhi_asgi.engine.single_flight import SingleFlight
from bodhi_asgi.engine.types import ModelFacts, ModelSpec, UnloadReason
from bodhi_asgi.errors import BodhiError, ConfigurationInvalid

State: TypeAlias = Literal["idle", "starting", "ready", "down", "failed", "closed"]
"""``down``: it died and is started again when it is next needed. ``failed``: it could not be started."""

DEATHS_WHILE_LOADING: Final = 2
DEATHS_BEFORE_SERVING: Final = 3
"""So many in one attempt, and the model, or the installation, is to blame and not chance."""

RETRY_S: Final = (0.01, 0.03)
"""Between two attempts to connect."""

FIRST_PAUSE_S: Final = 0.02
LAST_PAUSE_S: Final = 0.5
"""Between two candidates sent by one host."""

SILENT_HANDSHAKES: Final = 2
"""So many in a row, and who listens there is stopped for good and stands in the way of a new engine."""

EXIT_WAIT_S: Final = 1.0
GOODBYE_S: Final = 5.0

log = logging.getLogger(__name__)


class Supervisor:
    """Calls ``on_loaded`` each time this host has found the model standing, ``on_died`` with the reason of a death.

    ``on_loading`` is told how much of the model is loaded, from 0 to 1, and ``on_unloaded`` why an engine has left in
    order. A start is given up ``patience_s`` after the last who waited for it has gone.
    """

    def __init__(
        self,
        *,
        spec: ModelSpec,
        runtime_dir: Path,
        linger_s: float,
        start_timeout_s: float,
        clock: Clock,
        patience_s: float,
        on_loading: Callable[[float], None] | None,
        on_loaded: Callable[[ModelFacts], None] | None,
        on_unloaded: Callable[[UnloadReason], None] | None,
        on_died: Callable[[str], None] | None,
    ) -> None:
        self.state: State = "idle"
        self.reason = ""
        self.restarts = 0
        self._spec = spec
        self._runtime_dir = runtime_dir
        self._linger_s = linger_s
        self._start_timeout_s = start_timeout_s
        self.progress = 0.0
        self._on_loading = on_loading
        self._on_loaded = on_loaded
        self._on_unloaded = on_unloaded
        self._on_died = on_died
        self._live: EngineConnection | None = None
        self._opening = SingleFlight(self._open, ended=self._stopped, patience_s=patience_s)
        self._candidates: dict[str, Candidate] = {}
        self._breaker = Breaker(clock)
        self._reports: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def is_closed(self) -> bool:
        """Whether :meth:`aclose` was called; there is no way back."""
        return self.state == "closed"

    @property
    def live(self) -> EngineConnection | None:
        """The connection to an engine with a standing model, if there is one now."""
        return self._live

    async def connection(self) -> EngineConnection:
        """A connection to an engine whose model stands.

        Raises ModelDown while it rests after too many deaths, ModelLoadFailed and other errors of the start.
        """
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("a ProcessEngine belongs to the event loop it was started in; make one for each loop")
        if self.is_closed:
            raise self._stopped()
        live = self._live
        if live is not None:
            if not live.lost.done():
                return live
            self._ended(live, live.lost.result())
        if self._breaker.left_s > 0:
            raise ModelDown(
                f"the engine of the model '{self._spec.name}' has died again and again and rests before it is tried "
                "anew; the operator finds the reason in /health",
                retry_after_s=self._breaker.left_s,
            )
        return await self._opening.result()

    def served(self) -> None:
        """A request was answered to its end: the engine is well, and the next death is the first again."""
        self._breaker.served()

    async def end_start(self) -> bool:
        """End a start under way: who waits for it gets EngineStopped. Whether there was one."""
        return await self._opening.give_up()

    async def aclose(self, *, terminate: bool) -> None:
        """Disconnect. The engine leaves when its last host's linger time is over, at once with ``terminate``."""
        if self.is_closed:
            return
        self.state = "closed"
        await self._opening.cancel()
        connection, self._live = self._live, None
        if connection is not None:
            try:
                with contextlib.suppress(ConnectionLost, TimeoutError):
                    async with asyncio.timeout(GOODBYE_S):
                        await self._part(connection, terminate=terminate)
            finally:
                connection.abort()
            await asyncio.wait([connection.lost])
        if self._reports:
            await asyncio.wait(self._reports)

    def _stopped(self) -> EngineStopped:
        if not self.is_closed:
            return stopped_by_operator(self._spec.name)
        return EngineStopped(f"the engine of the model '{self._spec.name}' is closed")

    async def _part(self, connection: EngineConnection, *, terminate: bool) -> None:
        if terminate:
            send_signal(connection.pid, signal.SIGTERM)
            await asyncio.wait([connection.lost])
            leaving = True
        else:
            leaving = bool((await connection.ask("bye"))["leaving"])
        candidate = self._candidates.get(connection.launch)
        if leaving and candidate is not None:
            await asyncio.wrap_future(candidate.exited)

    # -- finding or starting one

    async def _open(self) -> EngineConnection:
        self.state = "starting"
        self._is_loading(0.0)
        try:
            await asyncio.sleep(self._breaker.backoff_s)
            async with asyncio.timeout(self._start_timeout_s):
                connection = await self._loaded()
        except TimeoutError:
            self.reason = f"the model was not loaded within {self._start_timeout_s:g} s ({self.reason or 'no reply'})"
            self.state = "failed"
            raise ModelLoadFailed(f"the model '{self._spec.name}' could not be loaded: {self.reason}") from None
        except ConfigurationInvalid as error:
            self.reason = error.message
            self.state = "failed"
            raise
        except (asyncio.CancelledError, EngineStopped):
            if not self.is_closed:
                self.state = "idle"
            raise
        except Exception:
            self.state = "failed"
            raise
        self._live = connection
        self.state = "ready"
        self.reason = ""
        connection.lost.add_done_callback(lambda lost: self._ended(connection, lost.result()))
        if self._on_loaded is not None:
            self._on_loaded(connection.facts.result())
        return connection

    def _is_loading(self, fraction: float) -> None:
        self.progress = fraction
        if self._on_loading is not None:
            self._on_loading(fraction)

    async def _loaded(self) -> EngineConnection:
        deaths = 0
        while True:
            connection = await self._connected()
            try:
                await connection.facts
            except ConnectionLost as lost:
                if lost.in_order == "stopped" and connection.has_joined:
                    raise stopped_by_operator(self._spec.name) from None
                if lost.in_order:
                    continue  # it was about to leave when this host came
                deaths += 1
                how = await self._how(connection, lost)
                self.reason = self._reason(connection.launch, how)
                if deaths == DEATHS_WHILE_LOADING:
                    raise ModelLoadFailed(
                        f"the engine process ended while it loaded the model '{self._spec.name}' ({how})"
                    ) from None
                await asyncio.sleep(FIRST_BACKOFF_S)
            except BodhiError as error:
                self.reason = error.message
                connection.abort()
                raise
            except BaseException:
                connection.abort()
                raise
            else:
                return connection

    async def _connected(self) -> EngineConnection:
        open_private(self._runtime_dir)
        paths = self._paths()
        loop = asyncio.get_running_loop()
        candidate: Candidate | None = None
        candidacies = deaths = silent = 0
        launch_at_s = loop.time()
        try:
            while True:
                try:
                    return await EngineConnection.open(paths, self._linger_s, loading=self._is_loading)
                except OSError:
                    silent = 0  # nobody listens there
                except EngineSilent as lost:
                    silent += 1
                    self.reason = str(lost)
                    if silent == SILENT_HANDSHAKES:
                        self._remove(lost.pid)
                except ConnectionLost as lost:
                    self.reason = str(lost)
                if candidate is not None and candidate.exited.done():
                    code = candidate.exited.result()
                    if code not in (0, EXIT_LOST_ELECTION):
                        deaths += 1
                        self.reason = self._reason(candidate.launch, _how(code))
                    if deaths == DEATHS_BEFORE_SERVING:
                        raise ModelLoadFailed(
                            f"the engine process for the model '{self._spec.name}' does not start ({_how(code)})"
                        )
                    candidate.release()
                    candidate = None
                if candidate is None and loop.time() >= launch_at_s:
                    candidate = self._launch(paths)
                    candidacies += 1
                    # An engine on its way out still holds the lock: then candidates lose, and fewer are sent.
                    pause_s = min(LAST_PAUSE_S, FIRST_PAUSE_S * 2**candidacies)
                    launch_at_s = loop.time() + random.uniform(0.5, 1.5) * pause_s  # noqa: S311
                await asyncio.sleep(random.uniform(*RETRY_S))  # noqa: S311
        finally:
            if candidate is not None:
                candidate.release()

    def _remove(self, pid: int) -> None:
        """Kill who listens on the socket in our private directory and does not greet: the kernel says it is he."""
        log.error("an engine process is ended", extra={"pid": pid, "reason": "it does not greet"})
        send_signal(pid, signal.SIGKILL)

    def _paths(self) -> EnginePaths:
        return EnginePaths(self._runtime_dir, spec_key(self._spec))

    def _launch(self, paths: EnginePaths) -> Candidate:
        self._candidates = {name: known for name, known in self._candidates.items() if not known.exited.done()}
        candidate = launch(self._spec, paths)
        self._candidates[candidate.launch] = candidate
        return candidate

    # -- its end

    def _ended(self, connection: EngineConnection, lost: ConnectionLost) -> None:
        if self._live is not connection:
            return
        self._live = None
        if lost.in_order:
            self.state = "idle"
            if self._on_unloaded is not None:
                self._on_unloaded(lost.in_order)
            return
        self.state = "down"
        self.restarts += 1
        self._breaker.died()
        assert self._loop is not None
        report = self._loop.create_task(self._report(connection, lost))
        self._reports.add(report)
        report.add_done_callback(self._reports.discard)

    async def _report(self, connection: EngineConnection, lost: ConnectionLost) -> None:
        reason = self._reason(connection.launch, await self._how(connection, lost))
        if self.state != "ready":
            self.reason = reason
        log.warning(
            "an engine process has died", extra={"model": self._spec.name, "pid": connection.pid, "reason": reason}
        )
        if self._on_died is not None:
            self._on_died(reason)

    async def _how(self, connection: EngineConnection, lost: ConnectionLost) -> str:
        """How it ended; by its exit code when it is a child of this process, and why, when this process ended it."""
        verdict = f"{connection.watch.verdict}, so it was ended; " if connection.watch.verdict else ""
        candidate = self._candidates.get(connection.launch)
        if candidate is not None:
            with contextlib.suppress(TimeoutError):
                return verdict + _how(await asyncio.wait_for(asyncio.wrap_future(candidate.exited), EXIT_WAIT_S))
        return f"{verdict}{lost}"

    def _reason(self, launch_id: str, how: str) -> str:
        """How it ended and what it said last. For operators: what a library said is not for guests."""
        said = last_words.reason(self._paths().log, launch_id)
        return f"{how}: {said}" if said else how


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        return f"ended by {signal.Signals(-code).name}"
    except ValueError:
        return f"ended by signal {-code}"
