"""The contenders: our engine in its forms, and the servers it is compared with, each started and stopped the same way.

All run the same GGUF file with the same number of threads and the same context. One that cannot be had on this machine
is named with the reason, and left out of nothing in silence.
"""

import asyncio
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from benchmarks.peer_builds import CannotBeHad, bindings_python, llama_server, xllamacpp_python
from benchmarks.wire import Streamed, answers, stream_chat
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.engine import ThreadEngine
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.ids import new_id
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import Constraint, ConstraintKind, GenerateRequest, Sampling
from bodhi_asgi.types import JSONObject

START_TIMEOUT_S: Final = 120.0
LLAMA_SERVER: Final = "llama-server"
BINDINGS_SERVER: Final = "llama_cpp.server"
XLLAMACPP: Final = "xllamacpp"
HTTP: Final = "bodhi serve"
PROCESS: Final = "process engine"
THREAD: Final = "thread engine"

XLLAMACPP_SCRIPT: Final = """
import sys, threading, xllamacpp
path, port, threads, slots, n_ctx = sys.argv[1], *map(int, sys.argv[2:])
params = xllamacpp.CommonParams()
params.model.path, params.port, params.n_parallel, params.n_ctx = path, port, slots, n_ctx
params.cpuparams.n_threads = params.cpuparams_batch.n_threads = threads
params.kv_unified, params.n_threads_http, params.warmup = True, slots + 2, False
server = xllamacpp.Server(params)
threading.Event().wait()
"""


@dataclass(frozen=True, slots=True)
class Task:
    """What everybody is given: the model and how much of the machine."""

    name: str
    path: Path
    slots: int = 16
    threads: int = 1
    n_ctx: int = 4096


class Peer(Protocol):
    """A contender that has been started."""

    async def ask(self, text: str, max_tokens: int, schema: JSONObject | None = None) -> Streamed:
        """One greedy streamed answer to a message, held to a JSON schema if there is one."""
        ...


@dataclass(slots=True)
class HttpPeer:
    """A server on a port of this machine."""

    port: int
    model: str
    process: "Launched"
    headers: dict[str, str] = field(default_factory=dict)
    prefix: str = ""

    async def ask(self, text: str, max_tokens: int, schema: JSONObject | None = None) -> Streamed:
        message = {"role": "user", "content": text}
        body = {"model": self.model, "messages": [message], "max_tokens": max_tokens, "temperature": 0}
        if schema is not None:
            form = {"name": "form", "schema": schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": form}
        return await stream_chat(self.port, body, self.headers, self.prefix)


@dataclass(slots=True)
class EnginePeer:
    """An engine without doors, in this process or beside it."""

    engine: Engine

    async def ask(self, text: str, max_tokens: int, schema: JSONObject | None = None) -> Streamed:
        prompt = ChatPrompt((Message(Role.USER, text),))
        form = None if schema is None else Constraint(ConstraintKind.JSON_SCHEMA, json.dumps(schema))
        request = GenerateRequest("m", prompt, Sampling(temperature=0.0), max_tokens=max_tokens, constraint=form)
        streamed = Streamed(time.perf_counter())
        async for delta in self.engine.submit(Work(new_id(), request)):
            now = time.perf_counter()
            if delta.text:
                streamed.pieces_at.append(now)
            if delta.usage is not None:
                streamed.tokens, streamed.ended_at = delta.usage.completion_tokens, now
        return streamed


@dataclass(frozen=True, slots=True)
class Launched:
    """A running program and when it was started, in seconds of perf_counter."""

    pid: int
    at: float


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return int(listening.getsockname()[1])


@asynccontextmanager
async def process(
    command: Sequence[str | Path], *, port: int, ready: str, **environment: str
) -> AsyncIterator[Launched]:
    """A server process, from its first answer to its end. Raises CannotBeHad with its last words."""
    with tempfile.TemporaryFile() as log:
        launched_at = time.perf_counter()
        running = subprocess.Popen(  # noqa: ASYNC220 - it returns when the program was started
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**os.environ, "OMP_WAIT_POLICY": "PASSIVE", **environment},
        )
        try:
            await _until_ready(running, port, ready, log)
            yield Launched(running.pid, launched_at)
        finally:
            running.terminate()
            try:
                await asyncio.to_thread(running.wait, 20)
            except subprocess.TimeoutExpired:
                running.kill()
                running.wait()


async def _until_ready(running: "subprocess.Popen[bytes]", port: int, ready: str, log: Any) -> None:
    try:
        async with asyncio.timeout(START_TIMEOUT_S):
            while not await answers(port, ready):
                if running.poll() is not None:
                    log.seek(0)
                    told = log.read().decode(errors="replace").strip().splitlines()
                    raise CannotBeHad(f"it ended at its start: {told[-1] if told else 'without a word'}")
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise CannotBeHad(f"it was not ready within {START_TIMEOUT_S:.0f} s") from None


def llama_server_command(task: Task, port: int) -> list[str | Path]:
    """Slots over one pool of cells, as ours; the web interface was not built."""
    threads, slots, n_ctx = str(task.threads), str(task.slots), str(task.n_ctx)
    command: list[str | Path] = [llama_server(), "--model", task.path, "--host", "127.0.0.1", "--port", str(port)]
    command += ["--threads", threads, "--threads-batch", threads, "--parallel", slots, "--ctx-size", n_ctx]
    return [*command, "--kv-unified", "--threads-http", str(task.slots + 2), "--no-warmup"]


@asynccontextmanager
async def _llama_server(task: Task) -> AsyncIterator[Peer]:
    port = free_port()
    async with process(llama_server_command(task, port), port=port, ready="/health") as launched:
        yield HttpPeer(port, task.name, launched)


@asynccontextmanager
async def _bindings_server(task: Task) -> AsyncIterator[Peer]:
    port, threads = free_port(), str(task.threads)
    command: list[str | Path] = [bindings_python(), "-m", "llama_cpp.server", "--model", task.path, "--port", str(port)]
    command += ["--n_ctx", str(task.n_ctx), "--n_threads", threads, "--n_threads_batch", threads]
    # By default a new request breaks off the one that runs.
    command += ["--interrupt_requests", "false"]
    async with process(command, port=port, ready="/v1/models") as launched:
        yield HttpPeer(port, task.name, launched)


@asynccontextmanager
async def _xllamacpp(task: Task) -> AsyncIterator[Peer]:
    port = free_port()
    numbers = map(str, (port, task.threads, task.slots, task.n_ctx))
    command: list[str | Path] = [xllamacpp_python(), "-c", XLLAMACPP_SCRIPT, task.path, *numbers]
    async with process(command, port=port, ready="/health") as launched:
        yield HttpPeer(port, task.name, launched)


def bodhi(*arguments: str | Path) -> list[str | Path]:
    """Our command line, by the interpreter that runs the benchmark."""
    return [sys.executable, "-m", "bodhi_asgi", *arguments]


def new_token(folder: Path) -> dict[str, str]:
    """A header with a token for the server whose data directory is ``folder``."""
    command = bodhi("token", "create", "--data-dir", folder, "--name", "benchmark", "--all-models", "--json")
    made = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {"Authorization": f"Bearer {made['token']}"}


def engine_environment(task: Task, **more: object) -> dict[str, str]:
    """The task as our settings."""
    settings = {"slots": task.slots, "threads": task.threads, "n_ctx": task.n_ctx, "linger_s": 0, **more}
    return {f"BODHI_ENGINE__{name.upper()}": str(value) for name, value in settings.items()}


@asynccontextmanager
async def _http(task: Task) -> AsyncIterator[Peer]:
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        headers, port = new_token(Path(folder)), free_port()
        command = bodhi("serve", "--data-dir", folder, "--port", str(port), "--no-demo")
        command += ["--model", f"{task.name}={task.path}"]
        async with process(command, port=port, ready="/health/ready", **engine_environment(task)) as launched:
            yield HttpPeer(port, task.name, launched, headers)


def spec(task: Task) -> ModelSpec:
    """The task as the engine has it."""
    return ModelSpec(task.name, str(task.path), n_ctx=task.n_ctx, slots=task.slots, threads=task.threads)


@asynccontextmanager
async def _process_engine(task: Task) -> AsyncIterator[Peer]:
    with tempfile.TemporaryDirectory(prefix="bb-", dir="/tmp") as folder:
        engine = ProcessEngine(spec(task), runtime_dir=Path(folder) / "r", linger_s=0.0)
        try:
            await engine.start()
            yield EnginePeer(engine)
        finally:
            await engine.aclose(terminate=True)


@asynccontextmanager
async def _thread_engine(task: Task) -> AsyncIterator[Peer]:
    engine = ThreadEngine(spec(task))
    try:
        await engine.start()
        yield EnginePeer(engine)
    finally:
        await engine.aclose()


STARTS: Final[dict[str, Callable[[Task], Any]]] = {
    LLAMA_SERVER: _llama_server,
    XLLAMACPP: _xllamacpp,
    BINDINGS_SERVER: _bindings_server,
    HTTP: _http,
    PROCESS: _process_engine,
    THREAD: _thread_engine,
}


@dataclass(slots=True)
class Field:
    """Who has come to the start, and who has not and why."""

    peers: dict[str, Peer] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)

    def absent(self) -> str:
        """One line per contender that could not be had."""
        return "\n".join(f"{name} cannot be had: {reason}" for name, reason in self.missing.items())


@asynccontextmanager
async def started(task: Task, names: Sequence[str] = tuple(STARTS)) -> AsyncIterator[Field]:
    """All contenders with the model loaded and one answer given."""
    async with AsyncExitStack() as stack:
        all_of = Field()
        for name in names:
            try:
                peer = await stack.enter_async_context(STARTS[name](task))
                await peer.ask("Hello", 4)
                all_of.peers[name] = peer
            except CannotBeHad as reason:
                all_of.missing[name] = str(reason)
        yield all_of
