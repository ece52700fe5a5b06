"""The cache in memory: bounds, expiry, copies, and one computation for all who ask."""

import asyncio
import gc
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.cache.flights import ComputationEnded
from bodhi_asgi.cache.memory import MemoryCache
from bodhi_asgi.cache.types import MISSING, Cache
from bodhi_asgi.clock import StillClock


def make(max_entries: int = 100, ttl_s: float = 60, clock: StillClock | None = None) -> MemoryCache:
    return MemoryCache(max_entries=max_entries, ttl_s=ttl_s, clock=clock or StillClock())


@dataclass
class Work:
    """A computation that waits until it is let go, and counts."""

    outcome: Any = "value"
    calls: int = 0
    began: asyncio.Event = field(default_factory=asyncio.Event)
    may_end: asyncio.Event = field(default_factory=asyncio.Event)
    was_cancelled: bool = False

    async def __call__(self) -> Any:
        self.calls += 1
        self.began.set()
        try:
            await self.may_end.wait()
        except asyncio.CancelledError:
            self.was_cancelled = True
            raise
        if isinstance(self.outcome, BaseException):
            raise self.outcome
        return self.outcome


def asking(cache: MemoryCache, count: int, work: Callable[[], Awaitable[Any]]) -> list["asyncio.Task[Any]"]:
    return [asyncio.create_task(cache.get_or_compute("k", work)) for _ in range(count)]


async def never() -> str:
    raise AssertionError("computed although it was there")


async def test_what_is_set_is_got_until_it_is_deleted() -> None:
    cache: Cache = make()
    assert await cache.get("k") is MISSING
    assert not MISSING
    assert repr(MISSING) == "MISSING"
    await cache.set("k", "value")
    assert await cache.get("k") == "value"
    await cache.set("k", "other")
    assert await cache.get("k") == "other"
    await cache.delete("k")
    await cache.delete("k")
    assert await cache.get("k") is MISSING
    await cache.set("k", 1)
    await cache.clear()
    assert await cache.get("k") is MISSING


@pytest.mark.parametrize("value", [None, False, 0, "", []])
async def test_empty_values_are_values(value: Any) -> None:
    cache = make()
    await cache.set("k", value)
    assert await cache.get("k") == value
    assert await cache.get_or_compute("k", never) == value


async def test_a_value_is_believed_for_its_time() -> None:
    clock = StillClock()
    cache = make(ttl_s=60, clock=clock)
    await cache.set("own", 1)
    await cache.set("short", 2, ttl_s=10)
    clock.advance(9.5)
    assert (await cache.get("own"), await cache.get("short")) == (1, 2)
    clock.advance(0.5)
    assert (await cache.get("own"), await cache.get("short")) == (1, MISSING)
    clock.advance(50)
    assert await cache.get("own") is MISSING


async def test_no_timer_waits_for_an_entry() -> None:
    before = len(asyncio.get_running_loop()._scheduled)  # type: ignore[attr-defined]
    cache = make(max_entries=1000)
    for number in range(1000):
        await cache.set(str(number), number)
    assert len(asyncio.get_running_loop()._scheduled) == before  # type: ignore[attr-defined]


async def test_the_least_recently_used_goes_first() -> None:
    cache = make(max_entries=2)
    await cache.set("a", 1)
    await cache.set("b", 2)
    await cache.get("a")
    await cache.set("c", 3)
    assert [await cache.get(key) for key in "abc"] == [1, MISSING, 3]


@given(st.lists(st.tuples(st.sampled_from("gsd"), st.sampled_from("abcde")), max_size=40), st.integers(1, 4))
def test_it_behaves_like_a_dictionary_that_forgets(steps: list[tuple[str, str]], size: int) -> None:
    async def run() -> None:
        cache, expected = make(max_entries=size), dict[str, int]()
        for number, (step, key) in enumerate(steps):
            if step == "s":
                expected.pop(key, None)
                expected[key] = number
                if len(expected) > size:
                    del expected[next(iter(expected))]
                await cache.set(key, number)
            elif step == "d":
                expected.pop(key, None)
                await cache.delete(key)
            else:
                if key in expected:
                    expected[key] = expected.pop(key)
                assert await cache.get(key) == expected.get(key, MISSING)

    asyncio.run(run())


async def test_changing_what_went_in_or_came_out_changes_nothing() -> None:
    cache = make()
    given_value: dict[str, Any] = {"list": [1]}
    await cache.set("k", given_value)
    given_value["list"].append(2)
    got = await cache.get("k")
    got["list"].append(3)
    assert await cache.get("k") == {"list": [1]}

    async def compute() -> list[int]:
        return [1]

    first, second = await asyncio.gather(cache.get_or_compute("l", compute), cache.get_or_compute("l", compute))
    first.append(2)
    second.append(3)
    assert await cache.get("l") == [1]


async def test_fifty_who_ask_at_once_cause_one_computation() -> None:
    cache, work = make(), Work()
    tasks = asking(cache, 50, work)
    async with asyncio.timeout(20):
        await work.began.wait()
        work.may_end.set()
        assert await asyncio.gather(*tasks) == ["value"] * 50
    assert work.calls == 1
    assert await cache.get_or_compute("k", never) == "value"


async def test_an_error_goes_to_all_and_is_not_kept() -> None:
    cache, work = make(), Work(outcome=ValueError("no"))
    tasks = asking(cache, 5, work)
    async with asyncio.timeout(20):
        await work.began.wait()
        work.may_end.set()
        outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    assert [str(outcome) for outcome in outcomes] == ["no"] * 5
    assert work.calls == 1
    assert await cache.get("k") is MISSING
    work.outcome = "better"
    assert await cache.get_or_compute("k", work) == "better"


async def test_one_who_leaves_takes_nothing_from_the_others() -> None:
    cache, work = make(), Work()
    first, *others = asking(cache, 3, work)
    async with asyncio.timeout(20):
        await work.began.wait()
        first.cancel()
        await asyncio.wait([first])
        assert first.cancelled()
        work.may_end.set()
        assert await asyncio.gather(*others) == ["value"] * 2
    assert (work.calls, work.was_cancelled) == (1, False)


async def test_the_last_who_leaves_takes_the_computation_along() -> None:
    cache, work = make(), Work()
    tasks = asking(cache, 3, work)
    async with asyncio.timeout(20):
        await work.began.wait()
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        fresh = Work(outcome="fresh")
        fresh.may_end.set()
        assert await cache.get_or_compute("k", fresh) == "fresh"
    assert work.was_cancelled
    assert len(asyncio.all_tasks()) == 1


async def test_a_computation_that_cancels_itself_is_an_error_and_no_cancellation() -> None:
    cache, work = make(), Work(outcome=asyncio.CancelledError())
    work.may_end.set()
    with pytest.raises(ComputationEnded):
        await cache.get_or_compute("k", work)
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_an_error_that_nobody_waits_for_is_no_warning() -> None:
    cache, work = make(), Work(outcome=ValueError("no"))
    (task,) = asking(cache, 1, work)
    async with asyncio.timeout(20):
        await work.began.wait()
        work.may_end.set()
        task.cancel()
        await asyncio.wait([task])
    gc.collect()  # a task with an error that nobody looked at would warn here, and warnings are errors


@pytest.mark.parametrize("forget", [lambda cache: cache.delete("k"), lambda cache: cache.clear()])
async def test_what_is_forgotten_while_it_is_computed_is_not_kept(
    forget: Callable[[MemoryCache], Awaitable[None]],
) -> None:
    cache, old, new = make(), Work(outcome="old"), Work(outcome="new")
    (before,) = asking(cache, 1, old)
    async with asyncio.timeout(20):
        await old.began.wait()
        await forget(cache)
        (after,) = asking(cache, 1, new)
        await new.began.wait()
        new.may_end.set()
        assert await after == "new"
        old.may_end.set()
        assert await before == "old"
    assert await cache.get("k") == "new"


async def test_what_is_set_meanwhile_wins_over_what_was_computed() -> None:
    cache, work = make(), Work(outcome="computed")
    (task,) = asking(cache, 1, work)
    async with asyncio.timeout(20):
        await work.began.wait()
        await cache.set("k", "set")
        work.may_end.set()
        assert await task == "computed"
    assert await cache.get("k") == "set"


async def test_forgetting_before_the_computation_has_begun_is_harmless() -> None:
    cache, work = make(), Work()
    (task,) = asking(cache, 1, work)
    await asyncio.sleep(0)
    await cache.delete("k")
    work.may_end.set()
    async with asyncio.timeout(20):
        assert await task == "value"


async def test_a_computation_does_not_see_its_askers_context() -> None:
    who: ContextVar[str] = ContextVar("who", default="nobody")
    who.set("ann")

    async def compute() -> str:
        return who.get()

    assert await make().get_or_compute("k", compute) == "nobody"


async def test_a_computation_that_asks_for_itself_is_told_so() -> None:
    cache = make()

    async def compute() -> str:
        return await cache.get_or_compute("k", compute)

    async with asyncio.timeout(20):
        with pytest.raises(RuntimeError, match="asks for itself"):
            await cache.get_or_compute("k", compute)


async def test_keys_do_not_wait_for_each_other() -> None:
    cache, slow = make(), Work()
    (task,) = asking(cache, 1, slow)

    async def quick() -> str:
        return "quick"

    async with asyncio.timeout(20):
        await slow.began.wait()
        assert await cache.get_or_compute("other", quick) == "quick"
        slow.may_end.set()
        await task


@pytest.mark.parametrize(("max_entries", "ttl_s"), [(0, 60), (1, 0), (1, -1)])
def test_a_cache_has_room_and_time(max_entries: int, ttl_s: float) -> None:
    with pytest.raises(ValueError, match="has room"):
        make(max_entries, ttl_s)


async def test_a_value_is_kept_for_some_time() -> None:
    with pytest.raises(ValueError, match="over 0"):
        await make().set("k", 1, ttl_s=0)
