"""The life of an engine process: one for all hosts, as long as somebody needs it, and nothing left behind."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import pytest
import uvloop

from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.errors import EngineLost, EngineStopped, ModelLoadFailed
from bodhi_asgi.engine.process.launch import launch
from bodhi_asgi.engine.process.runtime import open_private
from bodhi_asgi.engine.types import EngineStats, ModelFacts, ModelSpec
from tests.engine.process.conftest import MakeEngine
from tests.engine.process.support import (
    ECHO,
    LONG,
    answer,
    first_text,
    is_free,
    nothing_is_left,
    paths_of,
    wait_until,
    work,
)

REPOSITORY = Path(__file__).parents[3]


class Host:
    """Another host process; see host.py."""

    def __init__(self, runtime_dir: Path, linger_s: float, engines: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.engine.process.host", str(runtime_dir), str(linger_s), str(engines)],
            cwd=REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    async def line(self) -> str:
        assert self.process.stdout is not None
        async with asyncio.timeout(30):
            return await asyncio.to_thread(self.process.stdout.readline)

    async def pids(self) -> list[int]:
        found: list[int] = json.loads(await self.line())
        return found

    async def end(self, how: signal.Signals | None = None) -> None:
        if how is not None:
            self.process.send_signal(how)
        await asyncio.to_thread(self.process.communicate)


@pytest.fixture
async def hosts(runtime_dir: Path) -> AsyncIterator[Callable[..., Host]]:
    async with AsyncExitStack() as stack:

        def start(*, linger_s: float = 0.0, engines: int = 1) -> Host:
            host = Host(runtime_dir, linger_s, engines)
            stack.push_async_callback(host.end)
            return host

        yield start


async def test_an_engine_says_what_it_serves_and_keeps_its_files_private(
    make_engine: MakeEngine, runtime_dir: Path
) -> None:
    loaded: list[ModelFacts] = []
    engine = make_engine(ECHO, on_loaded=loaded.append)
    facts = await engine.start()
    assert loaded == [facts]
    assert await engine.start() == facts
    paths = paths_of(runtime_dir, ECHO)
    ready = json.loads(paths.ready.read_bytes())
    assert ready["pid"] == engine.pid != os.getpid()
    assert (ready["model"], ready["is_loaded"], ready["reserved_bytes"]) == ("echo", True, 0)
    for path in (paths.lock, paths.socket, paths.secret, paths.ready, paths.log):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert paths.secret.read_bytes().hex() not in paths.ready.read_text()


async def test_hosts_with_one_spec_share_one_engine_and_another_spec_has_its_own(make_engine: MakeEngine) -> None:
    engines = [make_engine(ECHO), make_engine(ECHO), make_engine(ModelSpec("other", "nowhere", runner="echo"))]
    await asyncio.gather(*(engine.start() for engine in engines))
    one, two, other = (engine.pid for engine in engines)
    assert one == two != other
    assert await answer(engines[0], work()) == await answer(engines[1], work())


async def test_without_linger_the_engine_is_gone_when_its_last_host_has_closed(
    make_engine: MakeEngine, runtime_dir: Path
) -> None:
    first, second = make_engine(ECHO), make_engine(ECHO)
    await first.start()
    await second.start()
    await second.aclose()
    assert not is_free(paths_of(runtime_dir, ECHO).lock)
    await answer(first, work())
    await first.aclose()
    paths = paths_of(runtime_dir, ECHO)
    assert is_free(paths.lock)
    assert not any(path.exists() for path in (paths.socket, paths.secret, paths.ready))


async def test_an_engine_lingers_for_the_next_host_and_then_leaves(make_engine: MakeEngine, runtime_dir: Path) -> None:
    first = make_engine(ECHO, linger_s=5.0)
    await first.start()
    pid = first.pid
    await first.aclose()
    second = make_engine(ECHO, linger_s=0.2)
    await second.start()
    assert second.pid == pid
    await second.aclose()
    await wait_until(lambda: is_free(paths_of(runtime_dir, ECHO).lock))


async def test_what_an_earlier_engine_left_behind_is_no_obstacle(make_engine: MakeEngine, runtime_dir: Path) -> None:
    engine = make_engine(ECHO)
    await engine.start()
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    paths = paths_of(runtime_dir, ECHO)
    await wait_until(lambda: is_free(paths.lock))
    assert paths.socket.exists()
    assert paths.secret.exists()
    await make_engine(ECHO).start()


async def test_a_request_to_end_is_followed_in_order(make_engine: MakeEngine, runtime_dir: Path) -> None:
    deaths: list[str] = []
    engine = make_engine(ECHO, on_died=deaths.append)
    await engine.start()
    assert engine.pid is not None
    async with aclosing(engine.submit(work(LONG))) as deltas:
        await first_text(deltas)
        os.kill(engine.pid, signal.SIGTERM)
        async with asyncio.timeout(20):
            with pytest.raises(EngineLost):
                async for _ in deltas:
                    pass
    await wait_until(lambda: is_free(paths_of(runtime_dir, ECHO).lock))
    assert not paths_of(runtime_dir, ECHO).socket.exists()
    assert engine.state == "idle"
    assert await answer(engine, work()) != ""
    assert deaths == []


async def test_closing_ends_this_host_s_streams_and_nobody_else_s(make_engine: MakeEngine) -> None:
    engine, other = make_engine(ECHO), make_engine(ECHO)
    await other.start()
    async with aclosing(engine.submit(work(LONG))) as mine, aclosing(other.submit(work(LONG))) as theirs:
        await anext(mine)
        await anext(theirs)
        await engine.aclose()
        with pytest.raises(EngineStopped):
            async for _ in mine:
                pass
        async for delta in theirs:
            last = delta
    assert last.finish is not None
    with pytest.raises(EngineStopped):
        await engine.start()
    with pytest.raises(EngineStopped):
        await answer(engine, work())
    assert await engine.stats() == EngineStats()


async def test_closing_while_it_starts_is_no_trouble(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    starting = asyncio.ensure_future(engine.start())
    await wait_until(lambda: engine.state == "starting")
    await engine.aclose()
    with pytest.raises(EngineStopped):
        await starting


async def test_a_cancelled_start_does_not_cancel_the_others(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    first, second = asyncio.ensure_future(engine.start()), asyncio.ensure_future(engine.start())
    await wait_until(lambda: engine.state == "starting")
    first.cancel()
    assert (await second).n_ctx > 0
    with pytest.raises(asyncio.CancelledError):
        await first


async def test_a_model_that_cannot_be_loaded_is_refused_with_the_engine_s_own_words(
    make_engine: MakeEngine, short_dir: Path
) -> None:
    file = short_dir / "broken.gguf"
    file.write_bytes(b"GGUF but not really")
    engine = make_engine(ModelSpec("broken", str(file), n_ctx=256, threads=1))
    with pytest.raises(ModelLoadFailed) as caught:
        await engine.start()
    assert caught.value.code == "model_load_failed"
    assert "broken" in caught.value.message
    assert engine.state == "failed"
    assert engine.reason


async def test_two_loops_cannot_share_one_process_engine(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    await engine.start()
    with pytest.raises(RuntimeError, match="one for each loop"):
        await asyncio.to_thread(asyncio.run, engine.start())


async def test_four_hosts_with_twenty_starts_at_once_end_up_with_one_engine(
    hosts: Callable[..., Host], runtime_dir: Path
) -> None:
    rush = [hosts(engines=5) for _ in range(4)]
    pids = {pid for host in rush for pid in await host.pids()}
    assert len(pids) == 1
    for host in rush:
        assert await host.line() == "streaming\n"
        await host.end()
        assert host.process.returncode == 0
    await wait_until(lambda: is_free(paths_of(runtime_dir, ECHO).lock))


async def test_a_host_killed_in_mid_stream_frees_its_slots_and_its_engine_leaves(
    hosts: Callable[..., Host], make_engine: MakeEngine, runtime_dir: Path
) -> None:
    watching = make_engine(ECHO, linger_s=0.2)
    await watching.start()
    host = hosts(linger_s=0.2)
    assert await host.pids() == [watching.pid]
    assert await host.line() == "streaming\n"
    assert (await watching.stats()).running == 1
    await host.end(signal.SIGKILL)
    async with asyncio.timeout(20):
        while (await watching.stats()).running:
            await asyncio.sleep(0.01)
    assert (await watching.stats()).slots_used == 0
    await watching.aclose()
    await wait_until(lambda: is_free(paths_of(runtime_dir, ECHO).lock))


async def test_the_engine_of_a_killed_host_outlives_it_by_the_linger_time_only(
    hosts: Callable[..., Host], runtime_dir: Path
) -> None:
    host = hosts(linger_s=0.2)
    await host.pids()
    assert not is_free(paths_of(runtime_dir, ECHO).lock)
    await host.end(signal.SIGKILL)
    await wait_until(lambda: is_free(paths_of(runtime_dir, ECHO).lock))
    assert not paths_of(runtime_dir, ECHO).socket.exists()


def test_it_works_in_a_uvloop_too(runtime_dir: Path) -> None:
    async def use() -> str:
        engine = ProcessEngine(ECHO, runtime_dir=runtime_dir, linger_s=0.0)
        await engine.start()
        text = await answer(engine, work())
        await engine.aclose()
        return text

    assert uvloop.run(use()) != ""
    assert is_free(paths_of(runtime_dir, ECHO).lock)


async def test_a_process_engine_that_was_never_used_closes_quietly(runtime_dir: Path) -> None:
    engine = ProcessEngine(ECHO, runtime_dir=runtime_dir)
    assert await engine.stats() == EngineStats()
    await engine.aclose()
    await engine.aclose()
    assert not runtime_dir.exists()


async def test_who_stops_waiting_for_a_process_to_end_leaves_the_wait_to_others(runtime_dir: Path) -> None:
    open_private(runtime_dir)
    candidate = launch(ECHO, paths_of(runtime_dir, ECHO))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.wrap_future(candidate.exited), 0.01)
    candidate.release()
    async with asyncio.timeout(20):
        assert await asyncio.wrap_future(candidate.exited) == 0
    await nothing_is_left(runtime_dir)


async def test_a_goodbye_that_is_cancelled_closes_its_connection(make_engine: MakeEngine) -> None:
    engine = make_engine(ECHO)
    await engine.start()
    connection = engine._supervisor.live
    assert connection is not None
    os.kill(connection.pid, signal.SIGSTOP)
    closing = asyncio.ensure_future(engine.aclose())
    asked = connection._numbers
    await wait_until(lambda: connection._numbers > asked)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    async with asyncio.timeout(20):
        await connection.lost
    os.kill(connection.pid, signal.SIGCONT)
