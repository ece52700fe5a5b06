"""One engine per model for all who ask, failures told once and not hammered at, and a state for each."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from bodhi_asgi.clock import StillClock
from bodhi_asgi.engine.client import ProcessEngine
from bodhi_asgi.engine.errors import EngineStopped, ModelLoadFailed
from bodhi_asgi.engine.place import FIRST_COOL_DOWN_S, LAST_COOL_DOWN_S, EngineState
from bodhi_asgi.engine.pool import EnginePool, Watchers
from bodhi_asgi.engine.process.runtime import runtime_directory
from bodhi_asgi.engine.types import ModelSpec
from bodhi_asgi.errors import Broken, ConfigurationInvalid
from tests.engine.process.support import ECHO, answer, nothing_is_left, wait_until, work

MakePool = Callable[..., EnginePool]

ISOLATIONS = ["process", "thread"]


@pytest.fixture
async def make_pool(runtime_dir: Path, tmp_path: Path) -> AsyncIterator[MakePool]:
    made: list[EnginePool] = []

    def make(isolation: str, **options: object) -> EnginePool:
        options = {"data_dir": tmp_path, "runtime_dir": runtime_dir, "linger_s": 0.0, **options}
        pool = EnginePool(isolation=isolation, **options)  # type: ignore[arg-type]
        made.append(pool)
        return pool

    yield make
    for pool in made:
        await pool.aclose()
    await nothing_is_left(runtime_dir)


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_all_who_ask_at_once_get_the_same_started_engine(make_pool: MakePool, isolation: str) -> None:
    loaded: list[str] = []
    pool = make_pool(isolation, watchers=Watchers(loaded=lambda model, _: loaded.append(model)))
    engines = await asyncio.gather(*(pool.engine(ECHO) for _ in range(8)))
    assert all(engine is engines[0] for engine in engines)
    assert await pool.engine(ECHO) is engines[0]
    assert loaded == ["echo"]
    assert await answer(engines[0], work()) != ""
    (state,) = pool.states().values()
    assert (state.model, state.state, state.reason, state.restarts) == ("echo", "ready", "", 0)
    assert state.summary == "ok"
    assert (state.pid == os.getpid()) == (isolation == "thread")


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_each_model_has_an_engine_of_its_own(make_pool: MakePool, isolation: str) -> None:
    pool = make_pool(isolation)
    one, other = await asyncio.gather(pool.engine(ECHO), pool.engine(ModelSpec("other", "nowhere", runner="echo")))
    assert one is not other
    assert sorted(pool.states()) == ["echo", "other"]


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_failed_start_is_told_with_its_reason_and_tried_again_after_a_cool_down(
    make_pool: MakePool, short_dir: Path, isolation: str
) -> None:
    clock = StillClock()
    pool = make_pool(isolation, clock=clock)
    file = short_dir / "broken.gguf"
    file.write_bytes(b"GGUF but not really")
    spec = ModelSpec("broken", str(file), n_ctx=256, threads=1)
    failures = await asyncio.gather(*(pool.engine(spec) for _ in range(4)), return_exceptions=True)
    assert {type(failure) for failure in failures} == {ModelLoadFailed}
    state = pool.states()["broken"]
    assert state.state == "failed"
    assert "broken" in state.reason
    for cool_down_s in (FIRST_COOL_DOWN_S, 2 * FIRST_COOL_DOWN_S):
        with pytest.raises(ModelLoadFailed) as cooling:
            await pool.engine(spec)
        assert cooling.value.retry_after_s == cool_down_s
        clock.advance(cool_down_s)
        with pytest.raises(ModelLoadFailed) as fresh:
            await pool.engine(spec)
        assert fresh.value.retry_after_s is None
    for _ in range(5):
        clock.advance(LAST_COOL_DOWN_S)
        with pytest.raises(ModelLoadFailed):
            await pool.engine(spec)
    with pytest.raises(ModelLoadFailed) as cooling:
        await pool.engine(spec)
    assert cooling.value.retry_after_s == LAST_COOL_DOWN_S


async def test_an_engine_that_died_is_started_again_for_the_next_who_asks(make_pool: MakePool) -> None:
    deaths: list[tuple[str, str]] = []
    loaded: list[str] = []
    watchers = Watchers(
        loaded=lambda model, _: loaded.append(model), died=lambda model, reason: deaths.append((model, reason))
    )
    pool = make_pool("process", watchers=watchers)
    engine = await pool.engine(ECHO)
    pid = pool.states()["echo"].pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    await wait_until(lambda: bool(deaths))
    assert deaths[0][0] == "echo"
    assert "SIGKILL" in deaths[0][1]
    state = pool.states()["echo"]
    assert (state.state, state.summary.partition(":")[0], state.pid, state.restarts) == ("down", "down", None, 1)
    assert "SIGKILL" in state.reason
    assert await pool.engine(ECHO) is engine
    state = pool.states()["echo"]
    assert (state.state, state.reason, state.restarts) == ("ready", "", 1)
    assert loaded == ["echo", "echo"]


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_closed_pool_starts_nothing_more(make_pool: MakePool, isolation: str) -> None:
    pool = make_pool(isolation)
    engine = await pool.engine(ECHO)
    await pool.aclose()
    await pool.aclose()
    with pytest.raises(EngineStopped):
        await answer(engine, work())
    with pytest.raises(EngineStopped):
        await pool.engine(ECHO)
    assert pool.states() == {}


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_closing_a_pool_ends_a_start_under_way(make_pool: MakePool, isolation: str) -> None:
    pool = make_pool(isolation)
    starting = asyncio.ensure_future(pool.engine(ECHO))
    async with asyncio.timeout(20):
        while pool.states() != {"echo": EngineState("echo", "starting", waiting=1)}:
            await asyncio.sleep(0)
    await pool.aclose()
    with pytest.raises(EngineStopped):
        await starting


async def test_a_fault_of_ours_at_the_start_arrives_as_broken_without_its_text(
    make_pool: MakePool, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def start(self: ProcessEngine) -> None:
        raise ZeroDivisionError("inner words")

    monkeypatch.setattr(ProcessEngine, "start", start)
    with pytest.raises(Broken) as caught:
        await make_pool("process").engine(ECHO)
    assert "inner words" not in caught.value.message
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


async def test_an_unsafe_runtime_directory_is_named_at_the_start_and_not_to_guests(
    make_pool: MakePool, runtime_dir: Path
) -> None:
    runtime_dir.mkdir(mode=0o755)
    pool = make_pool("process")
    with pytest.raises(ConfigurationInvalid, match=str(runtime_dir)):
        pool.prepare()
    with pytest.raises(ModelLoadFailed) as caught:
        await pool.engine(ECHO)
    assert str(runtime_dir) not in caught.value.message
    make_pool("thread").prepare()
    runtime_dir.chmod(0o700)
    pool.prepare()


async def test_pools_of_one_data_directory_meet_in_its_runtime_directory(
    make_pool: MakePool, tmp_path: Path, short_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(short_dir))
    pools = [make_pool("process", runtime_dir=None) for _ in range(2)]
    await asyncio.gather(*(pool.engine(ECHO) for pool in pools))
    one, other = (pool.states()["echo"].pid for pool in pools)
    assert one == other
    for pool in pools:
        await pool.aclose()
    assert runtime_directory(tmp_path).parent == short_dir / "bodhi"
    await nothing_is_left(runtime_directory(tmp_path))


def test_on_windows_the_error_names_the_setting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    with pytest.raises(ConfigurationInvalid, match=r"engine\.isolation to 'thread'"):
        EnginePool(isolation="process", data_dir=tmp_path)
    EnginePool(isolation="thread", data_dir=tmp_path)
