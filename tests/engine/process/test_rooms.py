"""Several models under one budget of memory, in threads and in processes: who is unloaded, when, and who never is."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi.engine import pool as pool_module
from bodhi_asgi.engine.budget import needed_bytes
from bodhi_asgi.engine.errors import EngineAtWork, EngineStopped, ModelLoadFailed, NoRoomForModel
from bodhi_asgi.engine.pool import EnginePool, Watchers
from bodhi_asgi.engine.process import census
from bodhi_asgi.engine.runners.echo import EchoRunner
from bodhi_asgi.engine.types import ModelSpec, Work
from tests.engine.process.support import (
    ECHO,
    LONG,
    answer,
    change_engines,
    first_text,
    nothing_is_left,
    wait_until,
    work,
)
from tests.engine.support import LLAMA

ISOLATIONS = ["process", "thread"]
SMALL = replace(LLAMA, slots=2)
NEEDED = needed_bytes(SMALL)
ONE, TWO, THREE = (replace(SMALL, name=name, memory_bytes=int(2.5 * NEEDED)) for name in ("one", "two", "three"))


@dataclass
class Diary:
    """What a pool tells."""

    loading: list[tuple[str, float]] = field(default_factory=list)
    loaded: list[str] = field(default_factory=list)
    unloaded: list[tuple[str, str]] = field(default_factory=list)
    died: list[str] = field(default_factory=list)

    @property
    def watchers(self) -> Watchers:
        return Watchers(
            loading=lambda model, fraction: self.loading.append((model, fraction)),
            loaded=lambda model, _: self.loaded.append(model),
            unloaded=lambda model, reason: self.unloaded.append((model, reason)),
            died=lambda model, _: self.died.append(model),
        )


@dataclass
class Host:
    """A pool, its diary, and how it is asked."""

    pool: EnginePool
    diary: Diary

    async def ask(self, spec: ModelSpec, **changes: Any) -> str:
        asked = replace(work("hello", spec=spec), **changes)
        return await answer(await self.pool.engine(spec), asked)

    async def there(self) -> list[str]:
        return [status.model for status in await self.pool.engines()]

    async def becomes(self, *models: str) -> None:
        async with asyncio.timeout(20):
            while await self.there() != list(models):
                await asyncio.sleep(0.01)


def endless(spec: ModelSpec) -> Work:
    """A request that is at work for as long as its answer is not read."""
    asked = work("Count to fifty", spec=spec)
    return replace(asked, request=replace(asked.request, ignore_eos=True))


MakeHost = Callable[..., Host]


@pytest.fixture
async def make_host(runtime_dir: Path, tmp_path: Path) -> AsyncIterator[MakeHost]:
    made: list[Host] = []

    def make(isolation: str, **options: Any) -> Host:
        diary = Diary()
        options = {"data_dir": tmp_path, "runtime_dir": runtime_dir, "linger_s": 0.0, "patience_s": 0.0, **options}
        made.append(Host(EnginePool(isolation=isolation, watchers=diary.watchers, **options), diary))  # type: ignore[arg-type]
        made[-1].pool.prepare()
        return made[-1]

    yield make
    for host in made:
        await host.pool.aclose()
    await nothing_is_left(runtime_dir)


@pytest.fixture(params=ISOLATIONS)
def host(request: pytest.FixtureRequest, make_host: MakeHost) -> Host:
    return make_host(request.param)


async def test_of_three_models_the_least_recently_used_makes_room(host: Host) -> None:
    for spec in (ONE, TWO, ONE, THREE):
        assert await host.ask(spec) != ""
    await host.becomes("one", "three")
    assert host.diary.unloaded == [("two", "room")]
    assert await host.ask(TWO) != ""
    await host.becomes("three", "two")
    assert host.diary.unloaded == [("two", "room"), ("one", "room")]
    assert host.diary.died == []
    reserved = {status.model: status.reserved_bytes for status in await host.pool.engines()}
    assert reserved == {"three": NEEDED, "two": NEEDED}


async def test_a_model_at_work_never_makes_room(host: Host) -> None:
    reading = []
    for spec in (ONE, TWO):
        engine = await host.pool.engine(spec)
        reading.append(engine.submit(endless(spec)))
        assert await first_text(reading[-1])
    with pytest.raises(NoRoomForModel, match="are taken by 'one', 'two', which are at work") as refused:
        await host.ask(THREE)
    assert refused.value.retry_after_s
    assert await host.there() == ["one", "two"]
    await reading[0].aclose()  # type: ignore[attr-defined]
    async with asyncio.timeout(20):
        while True:
            try:
                assert await host.ask(THREE) != ""
            except NoRoomForModel as still:
                await asyncio.sleep((still.retry_after_s or 0) % 1)
            else:
                break
    assert await host.there() == ["three", "two"]
    assert host.diary.unloaded == [("one", "room")]
    await reading[1].aclose()  # type: ignore[attr-defined]


async def test_a_model_larger_than_the_budget_sends_nobody_away(host: Host) -> None:
    await host.ask(ONE)
    with pytest.raises(ModelLoadFailed, match="engines may take") as refused:
        await host.ask(replace(TWO, memory_bytes=NEEDED - 1))
    assert refused.value.retry_after_s is None
    assert await host.there() == ["one"]


async def test_a_model_without_work_is_unloaded_after_its_keep_alive_and_loaded_for_the_next(host: Host) -> None:
    spec = replace(ECHO, keep_alive_s=0.05)
    for times in (1, 2):
        assert await host.ask(spec) != ""
        await wait_until(lambda: len(host.diary.unloaded) == times)  # noqa: B023
        assert host.pool.states()["echo"].state == "idle"
        assert host.pool.states()["echo"].summary == "ok"
    assert host.diary.unloaded == [("echo", "idle")] * 2
    assert host.diary.loaded == ["echo"] * 2


async def test_keep_alive_zero_unloads_after_the_last_of_several_answers(host: Host) -> None:
    spec = replace(ECHO, keep_alive_s=-1.0)
    engine = await host.pool.engine(spec)
    async with aclosing(engine.submit(work(LONG))) as reading:  # type: ignore[type-var]
        assert await first_text(reading)
        assert await host.ask(spec, keep_alive_s=0.0) != ""
        assert await host.there() == ["echo"]
    await wait_until(lambda: host.diary.unloaded == [("echo", "idle")])
    await host.becomes()


async def test_a_negative_keep_alive_keeps_a_model_until_it_is_told_to_leave(host: Host) -> None:
    spec = replace(ECHO, keep_alive_s=0.05)
    await host.ask(spec, keep_alive_s=-1.0)
    (status,) = await host.pool.engines()
    assert (status.state, status.under_way, status.expires_in_s) == ("ready", 0, None)
    assert status.idle_s is not None
    assert await host.pool.unload("echo") == 1
    assert await host.pool.unload("echo") == 0
    await host.becomes()
    assert host.diary.unloaded == [("echo", "stopped")]


async def test_what_is_at_work_is_unloaded_by_force_only_and_its_readers_are_told(host: Host) -> None:
    engine = await host.pool.engine(ECHO)
    reading = engine.submit(work(LONG))
    assert await first_text(reading)
    (status,) = await host.pool.engines()
    assert (status.under_way, status.idle_s, status.may_leave, status.slots) == (1, None, False, 8)
    with pytest.raises(EngineAtWork, match="answers 1 request") as refused:
        await host.pool.unload("echo")
    assert refused.value.status == 409
    assert await host.pool.unload("echo", force=True) == 1
    with pytest.raises(EngineStopped):
        async for _ in reading:
            pass
    assert await host.ask(ECHO) != ""
    assert host.diary.died == []


async def test_a_real_model_tells_how_far_it_is_loaded(host: Host) -> None:
    await host.ask(ONE)
    assert host.diary.loading
    assert all(model == "one" and 0 <= fraction <= 1 for model, fraction in host.diary.loading)
    assert host.pool.states()["one"].state == "ready"


def load_slowly(monkeypatch: pytest.MonkeyPatch, short_dir: Path) -> None:
    """Have the echo load for good, a tenth of it done after the other, until nobody wants it any more."""
    how = """
import time
from bodhi_asgi.engine.errors import ModelLoadFailed
from bodhi_asgi.engine.runners.echo import EchoRunner
def load(self, advance):
    done = 0.0
    while advance(done):
        time.sleep(0.11)
        done = min(0.9, done + 0.1)
    raise ModelLoadFailed("given up")
EchoRunner.load = load
"""
    change_engines(short_dir, monkeypatch, how)

    def load(self: EchoRunner, advance: Callable[[float], bool]) -> Any:
        done = 0.0
        while advance(done):
            time.sleep(0.11)
            done = min(0.9, done + 0.1)
        raise ModelLoadFailed("given up")

    monkeypatch.setattr(EchoRunner, "load", load)


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_load_tells_its_progress_and_is_given_up_when_nobody_waits_for_it(
    make_host: MakeHost, isolation: str, monkeypatch: pytest.MonkeyPatch, short_dir: Path
) -> None:
    load_slowly(monkeypatch, short_dir)
    host = make_host(isolation)
    waiting = [asyncio.ensure_future(host.pool.engine(ECHO)) for _ in range(2)]
    await wait_until(lambda: len(host.diary.loading) >= 3)
    fractions = [fraction for _, fraction in host.diary.loading]
    assert fractions == sorted(fractions)
    state = host.pool.states()["echo"]
    assert (state.state, state.progress) == ("starting", fractions[-1])
    (status,) = await host.pool.engines()
    assert (status.state, status.may_leave) == ("loading", False)
    with pytest.raises(EngineAtWork, match="is being loaded"):
        await host.pool.unload("echo")
    waiting[0].cancel()
    await asyncio.wait([waiting[0]])
    assert host.pool.states()["echo"].state == "starting"
    waiting[1].cancel()
    await asyncio.wait([waiting[1]])
    await host.becomes()
    await wait_until(lambda: host.pool.states()["echo"].state == "idle")
    assert host.diary.loaded == host.diary.died == []


@pytest.mark.parametrize("isolation", ISOLATIONS)
async def test_a_load_goes_on_for_a_moment_for_who_comes_back(
    make_host: MakeHost, isolation: str, monkeypatch: pytest.MonkeyPatch, short_dir: Path
) -> None:
    load_slowly(monkeypatch, short_dir)
    host = make_host(isolation, patience_s=60.0)
    first = asyncio.ensure_future(host.pool.engine(ECHO))
    await wait_until(lambda: len(host.diary.loading) >= 3)
    first.cancel()
    await asyncio.wait([first])
    second = asyncio.ensure_future(host.pool.engine(ECHO))
    # It goes on where it was, and does not begin anew.
    reached = host.diary.loading[-1][1]
    await wait_until(lambda: host.diary.loading[-1][1] > reached)
    fractions = [fraction for _, fraction in host.diary.loading]
    assert fractions == sorted(fractions)
    second.cancel()
    await asyncio.wait([second])


async def test_an_engine_that_works_for_another_host_makes_no_room_either(make_host: MakeHost) -> None:
    one, other = make_host("process"), make_host("process")
    tight = [replace(spec, memory_bytes=int(1.5 * NEEDED)) for spec in (ONE, TWO)]
    engine = await one.pool.engine(tight[0])
    await other.pool.engine(tight[0])
    async with aclosing(engine.submit(endless(tight[0]))) as reading:  # type: ignore[type-var]
        assert await first_text(reading)
        (status,) = await other.pool.engines()
        assert (status.hosts, status.under_way) == (2, 1)
        with pytest.raises(NoRoomForModel):
            await other.ask(tight[1])
        with pytest.raises(EngineAtWork):
            await other.pool.unload("one")
    third = make_host("process")
    async with asyncio.timeout(20):
        while True:
            try:
                assert await third.ask(tight[1]) != ""
            except NoRoomForModel as still:
                await asyncio.sleep((still.retry_after_s or 0) % 1)
            else:
                break
    # Both hosts of the first have been told, and find it again.
    await wait_until(lambda: one.diary.unloaded == other.diary.unloaded == [("one", "room")])
    assert one.pool.states()["one"].state == "idle"


async def test_an_engine_that_is_stopped_for_good_is_told_as_silent_and_makes_no_room(make_host: MakeHost) -> None:
    host = make_host("process")
    await host.pool.engine(ECHO)
    pid = host.pool.states()["echo"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        (status,) = await host.pool.engines()
        assert (status.model, status.state, status.pid, status.may_leave) == ("echo", "silent", pid, False)
        with pytest.raises(EngineAtWork):
            await host.pool.unload("echo")
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_an_engine_that_does_not_answer_is_ended_by_force_and_gives_its_memory_back(make_host: MakeHost) -> None:
    host = make_host("process")
    await host.pool.engine(ECHO)
    pid = host.pool.states()["echo"].pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EngineAtWork, match="'echo' does not answer"):
            await host.pool.unload("echo")
        assert await host.pool.unload("echo", force=True) == 1
        assert await host.pool.engines() == []
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    # Whose lock is free has no memory reserved, and the next request starts another.
    assert await host.ask(ECHO) != ""
    assert host.pool.states()["echo"].pid != pid


async def test_an_engine_out_of_reach_is_told_so_where_force_does_not_end_it(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host("process")
    await host.pool.engine(ECHO)
    pid = host.pool.states()["echo"].pid
    assert pid is not None
    monkeypatch.setattr(pool_module, "GONE_S", 0.1)
    # What the kernel says of a process that lives in another container.
    monkeypatch.setattr(census, "peer_pid", lambda _: 0)
    os.kill(pid, signal.SIGSTOP)
    try:
        with pytest.raises(EngineAtWork, match=f"cannot be ended from here; end its process, {pid}"):
            await host.pool.unload("echo", force=True)
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_looking_keeps_no_engine_and_ends_none(make_host: MakeHost) -> None:
    host, visitor = make_host("process", linger_s=60.0), make_host("process")
    await host.pool.engine(ECHO)
    assert (await visitor.there(), (await visitor.pool.engines())[0].hosts) == (["echo"], 1)
    await host.pool.aclose()
    (status,) = await visitor.pool.engines()
    assert (status.state, status.hosts) == ("ready", 0)
    assert await visitor.there() == ["echo"]
    assert await visitor.pool.unload("echo") == 1
