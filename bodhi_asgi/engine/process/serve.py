"""The engine process: a socket in the main thread, the engine loop in a thread of its own, and its own life.

It holds the lock already. It serves whoever proves to be of the house, tells every host when the model stands or why it
does not, and leaves in order, saying why: when its last host has been gone for that host's linger time, when it has had
no work for its keep-alive, when it is asked to make room, or on SIGTERM.
"""

import asyncio
import faulthandler
import gc
import hashlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bodhi_asgi import __version__
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.process import election, hardening, last_words
from bodhi_asgi.engine.process.frames import Message
from bodhi_asgi.engine.process.plain import from_plain
from bodhi_asgi.engine.process.protocol import PROTOCOL_VERSION, error_to_plain
from bodhi_asgi.engine.process.room import make_room
from bodhi_asgi.engine.process.runtime import EnginePaths
from bodhi_asgi.engine.process.session import Session
from bodhi_asgi.engine.process.stay import Stay
from bodhi_asgi.engine.process.traffic import Traffic
from bodhi_asgi.engine.runner import make_runner
from bodhi_asgi.engine.types import EngineStatus, Job, ModelFacts, ModelSpec, UnloadReason
from bodhi_asgi.errors import BodhiError

EXIT_LOAD_FAILED: Final = 18
EXIT_LOOP_FAILED: Final = 19
EXIT_STOP_HUNG: Final = 20

FIRST_HOST_S: Final = 10.0
"""How long an engine waits for its first host, should that one live and not come."""

STOP_S: Final = 5.0

LOG_CHECK_S: Final = 5.0

log = logging.getLogger(__name__)


def serve(order: dict[str, Any], tether: int) -> int:
    """Serve one model until nobody needs it. Returns the exit code.

    ``tether`` is a pipe whose other end is held by the host that ordered the engine, until that host has joined.
    """
    paths = EnginePaths(Path(order["directory"]), order["key"])
    launch = order["launch"]
    hardening.harden()
    os.chdir(paths.directory)
    os.dup2(last_words.open_log(paths.log), 2)
    last_words.begin_launch(launch)
    faulthandler.enable(file=2)
    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    secret = election.new_secret(paths.secret)
    listener = election.listen(paths.socket)
    spec = from_plain(ModelSpec, order["spec"])
    code = asyncio.run(EngineProcess(spec=spec, paths=paths, secret=secret, launch=launch).run(listener, tether))
    if code == EXIT_STOP_HUNG:
        # A thread that hangs inside the engine would keep the interpreter from ending.
        os._exit(code)
    return code


class EngineProcess:
    """Between the sessions of the hosts and the engine loop."""

    def __init__(self, *, spec: ModelSpec, paths: EnginePaths, secret: bytes, launch: str) -> None:
        self.secret = secret
        self.key = paths.key
        self.launch = launch
        self._spec = spec
        self._paths = paths
        self._sessions: set[Session] = set()
        self._sessions_ever = 0
        self._has_been_joined = False
        self._reserved_bytes = 0
        self._traffic: Traffic | None = None
        self._outcome: Message | None = None
        self._facts: ModelFacts | None = None
        self._progress = 0.0

    async def run(self, listener: socket.socket, tether: int) -> int:
        """Serve until it is time to leave. Returns the exit code."""
        self._loop = asyncio.get_running_loop()
        self._stay = Stay()
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stay.end, 0)
        server = await self._loop.create_unix_server(self._new_session, sock=listener)
        self._announce(None)
        self._stay.linger(FIRST_HOST_S)
        self._loop.add_reader(tether, self._tether_cut, tether)
        tasks = [self._loop.create_task(self._load()), self._loop.create_task(self._keep_log_bounded())]
        try:
            code = await self._stay.over
        finally:
            for task in tasks:
                task.cancel()
        for path in (self._paths.socket, self._paths.secret):
            path.unlink(missing_ok=True)
        server.close()
        for session in list(self._sessions):
            if code == 0:
                session.send({"op": "leaving", "reason": self._stay.reason})
            session.close()
        has_stopped = await self._stop_engine()
        # Last, because the reservation in it counts until the memory is free.
        self._paths.ready.unlink(missing_ok=True)
        return code if has_stopped else EXIT_STOP_HUNG

    async def _stop_engine(self) -> bool:
        """Whether the engine loop came to its end; a call that hangs inside the engine keeps it from that."""
        if self._traffic is None:
            return True
        stopping = threading.Thread(target=self._traffic.engine.stop, name="engine-stop", daemon=True)
        stopping.start()
        await asyncio.to_thread(stopping.join, STOP_S)
        return not stopping.is_alive()

    # -- life

    def _tether_cut(self, tether: int) -> None:
        self._loop.remove_reader(tether)
        os.close(tether)
        if not self._has_been_joined:
            self._stay.end(0)

    async def _load(self) -> None:
        try:
            await make_room(self._paths, self._spec, self._reserve)
            # Beside the event loop, which answers hosts while a large library is read from a slow disk.
            runner = await asyncio.to_thread(make_runner, self._spec)
            traffic = self._traffic = Traffic(
                self._spec,
                runner,
                failed=lambda: self._stay.end(EXIT_LOOP_FAILED),
                rested=self._rested,
                loading=self._loading,
            )
            traffic.engine.start()
            facts = await asyncio.wrap_future(traffic.engine.ready)
            self._announce(facts)
        except BodhiError as error:
            self._fail(error)
        except Exception as error:
            log.exception("the model could not be loaded")
            self._fail(ModelLoadFailed(f"the model '{self._spec.name}' could not be loaded: {type(error).__name__}"))
        else:
            self._facts = facts
            # What is there now stays, and need not be gone through again and again while steps wait.
            gc.collect()
            gc.freeze()
            self._tell({"op": "facts", "facts": facts})
            traffic.occupancy.loaded(self._loop.time())
            self._rested()

    def _loading(self, fraction: float) -> None:
        # Called in the engine thread.
        self._loop.call_soon_threadsafe(self._has_progressed, fraction)

    def _has_progressed(self, fraction: float) -> None:
        self._progress = fraction
        for session in self._sessions:
            session.send({"op": "loading", "fraction": fraction})

    def _rested(self) -> None:
        self._stay.rest(self._standing().occupancy)

    def _fail(self, error: BodhiError) -> None:
        log.error("%s", error.message)
        self._tell({"op": "failed", "error": error_to_plain(error)})
        self._stay.code = EXIT_LOAD_FAILED
        if self._sessions:
            self._stay.end(EXIT_LOAD_FAILED)

    def _tell(self, outcome: Message) -> None:
        self._outcome = outcome
        for session in self._sessions:
            session.send(outcome)

    def _reserve(self, size_bytes: int) -> None:
        self._reserved_bytes = size_bytes
        self._announce(None)

    def _announce(self, facts: ModelFacts | None) -> None:
        election.announce(
            self._paths.ready,
            {
                "pid": os.getpid(),
                "launch": self.launch,
                "started_at": time.time(),
                "version": __version__,
                "protocol": PROTOCOL_VERSION,
                "model": self._spec.name,
                "files": self._spec.files,
                "is_loaded": facts is not None,
                "reserved_bytes": self._reserved_bytes,
                "secret_sha256": hashlib.sha256(self.secret).hexdigest(),
            },
        )

    async def _keep_log_bounded(self) -> None:
        while True:
            await asyncio.sleep(LOG_CHECK_S)
            last_words.keep_bounded(self.launch)

    # -- what sessions ask

    def _new_session(self) -> Session:
        self._sessions_ever += 1
        return Session(self, self._sessions_ever)

    def joined(self, session: Session) -> None:
        if self._stay.is_over:
            session.send({"op": "leaving", "reason": self._stay.reason})
            session.close()
            return
        if session.is_visitor:
            return
        self._stay.somebody_came()
        self._has_been_joined = True
        self._sessions.add(session)
        if self._outcome is None:
            session.send({"op": "loading", "fraction": self._progress})
        else:
            session.send(self._outcome)
            if self._outcome["op"] == "failed":
                self._stay.end(EXIT_LOAD_FAILED)

    def left(self, session: Session) -> bool:
        if session not in self._sessions:
            return False
        self._sessions.discard(session)
        if self._traffic is not None:
            self._traffic.cancel_all(session)
        if self._sessions:
            return False
        if self._outcome is None:  # nobody waits for this load any more
            self._stay.end(0)
            return True
        if session.linger_s <= 0:
            self._stay.end(0)
            return True
        self._stay.linger(session.linger_s)
        return False

    def submit(self, session: Session, request_id: int, work: Job, *, alone: bool) -> None:
        self._standing().submit(session, request_id, work, alone=alone)

    def cancel(self, session: Session, request_id: int) -> None:
        self._standing().cancel(session, request_id)

    def credit(self, session: Session, request_id: int, chunks: int) -> None:
        self._standing().credit(session, request_id, chunks)

    def _standing(self) -> Traffic:
        if self._traffic is None or self._outcome is None or self._outcome["op"] != "facts":
            raise ValueError("a request before the model stands")
        return self._traffic

    def answer(self, operation: str) -> Message:
        if operation == "ping":
            engine = self._traffic.engine if self._traffic is not None else None
            return {"op": "pong", "progress": engine.progress if engine else 0, "is_busy": not engine or engine.is_busy}
        if operation == "stats":
            return {"op": "stats", "stats": self._standing().engine.stats()}
        traffic = self._traffic
        return {
            "op": "description",
            "pid": os.getpid(),
            "launch": self.launch,
            "spec": self._spec,
            "hosts": len(self._sessions),
            "requests": traffic.under_way if traffic is not None else 0,
            "status": self._status(),
        }

    def keep(self, keep_alive_s: float) -> None:
        self._standing().occupancy.keep(keep_alive_s)
        self._rested()

    def retire(self, reason: UnloadReason, *, force: bool) -> bool:
        if not (force or self._stay.is_over or self._may_retire(reason)):
            return False
        self._stay.end(0, reason)
        return True

    def _may_retire(self, reason: UnloadReason) -> bool:
        if self._outcome is None or self._traffic is None:
            return False
        occupancy = self._traffic.occupancy
        # Another model does not drive out one that somebody is just coming for; an operator may.
        return occupancy.may_leave(self._loop.time()) if reason == "room" else not occupancy.is_busy

    def _status(self) -> EngineStatus:
        found = EngineStatus(
            key=self.key,
            model=self._spec.name,
            state="loading",
            pid=os.getpid(),
            progress=self._progress,
            reserved_bytes=self._reserved_bytes,
            hosts=len(self._sessions),
            files=self._spec.files,
        )
        if self._facts is None or self._traffic is None:
            return found
        occupancy, stats, now = self._traffic.occupancy, self._traffic.engine.stats(), self._loop.time()
        return replace(
            found,
            state="ready",
            progress=1.0,
            n_ctx=self._facts.n_ctx,
            under_way=self._traffic.under_way,
            running=stats.running,
            waiting=stats.waiting,
            slots=stats.slots_total,
            idle_s=occupancy.idle_s(now),
            expires_in_s=None if occupancy.expires_at is None else max(0.0, occupancy.expires_at - now),
            may_leave=occupancy.may_leave(now),
        )
