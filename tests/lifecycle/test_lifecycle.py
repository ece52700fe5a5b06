"""Starting and stopping inside somebody else's event loop, clause by clause."""

import asyncio
import contextvars
from contextlib import AsyncExitStack

import pytest

from bodhi_asgi.clock import StillClock
from bodhi_asgi.errors import NotStarted, ShuttingDown, Unavailable
from bodhi_asgi.lifecycle import COOL_DOWN_S, Lifecycle

tenant = contextvars.ContextVar("tenant", default="nobody")


class Opener:
    """Opens the number of the start; counts what it does; fails or waits on request."""

    def __init__(self) -> None:
        self.starts = 0
        self.stops = 0
        self.fail: Exception | None = None
        self.gate: asyncio.Event | None = None
        self.seen = ""

    async def __call__(self, stack: AsyncExitStack) -> int:
        self.starts += 1
        self.seen = tenant.get()
        if self.gate is not None:
            await self.gate.wait()
        if self.fail is not None:
            raise self.fail
        group = await stack.enter_async_context(asyncio.TaskGroup())
        group.create_task(asyncio.sleep(0))
        stack.callback(self._stopped)
        return self.starts

    def _stopped(self) -> None:
        self.stops += 1


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def lifecycle(opener: Opener, clock: StillClock) -> Lifecycle[int]:
    return Lifecycle(opener, clock=clock)


async def test_the_last_lease_closes(lifecycle: Lifecycle[int], opener: Opener) -> None:
    assert lifecycle.status == "new"
    async with lifecycle.lease() as value:
        assert (value, lifecycle.status, lifecycle.value) == (1, "ready", 1)
        async with lifecycle.lease() as same:
            assert same == 1
        assert opener.stops == 0
    assert (opener.starts, opener.stops, lifecycle.status) == (1, 1, "stopped")
    with pytest.raises(NotStarted):
        _ = lifecycle.value


async def test_it_starts_again(lifecycle: Lifecycle[int], opener: Opener) -> None:
    for number in (1, 2, 3):
        async with lifecycle.lease() as value:
            assert value == number
    assert opener.stops == 3


async def test_fifty_first_callers_start_once(lifecycle: Lifecycle[int], opener: Opener) -> None:
    values = await asyncio.gather(*(lifecycle.ensure_started() for _ in range(50)))
    assert values == [1] * 50
    assert opener.starts == 1
    await lifecycle.aclose()
    await lifecycle.aclose()
    assert opener.stops == 1


async def test_a_lease_does_not_end_what_was_started_lazily(lifecycle: Lifecycle[int], opener: Opener) -> None:
    await lifecycle.ensure_started()
    async with lifecycle.lease():
        pass
    assert (opener.stops, lifecycle.status) == (0, "ready")
    await lifecycle.aclose()


async def test_the_first_caller_may_leave_without_taking_the_start_along(
    lifecycle: Lifecycle[int], opener: Opener
) -> None:
    opener.gate = asyncio.Event()
    first = asyncio.create_task(lifecycle.ensure_started())
    second = asyncio.create_task(lifecycle.ensure_started())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    opener.gate.set()
    assert await second == 1
    await lifecycle.aclose()


async def test_nothing_of_the_first_callers_context_lives_on(lifecycle: Lifecycle[int], opener: Opener) -> None:
    tenant.set("somebody")
    await lifecycle.ensure_started()
    assert opener.seen == "nobody"
    await lifecycle.aclose()


async def test_a_failed_start_is_everybodys_and_is_not_repeated_at_once(
    lifecycle: Lifecycle[int], opener: Opener, clock: StillClock
) -> None:
    opener.fail = Unavailable("no disk")
    outcomes = await asyncio.gather(*(lifecycle.ensure_started() for _ in range(5)), return_exceptions=True)
    assert all(outcome is opener.fail for outcome in outcomes)
    assert lifecycle.status == "failed"
    with pytest.raises(Unavailable, match="no disk"):
        await lifecycle.ensure_started()
    assert opener.starts == 1

    clock.advance(COOL_DOWN_S)
    opener.fail = None
    assert await lifecycle.ensure_started() == 2
    await lifecycle.aclose()


async def test_an_unexpected_failure_is_typed_and_keeps_its_cause(lifecycle: Lifecycle[int], opener: Opener) -> None:
    opener.fail = ZeroDivisionError("oops")
    with pytest.raises(NotStarted, match="ZeroDivisionError") as failed:
        async with lifecycle.lease():
            pass
    assert failed.value.__cause__ is opener.fail


async def test_draining_wakes_whoever_waits(lifecycle: Lifecycle[int]) -> None:
    async with lifecycle.lease():
        waiting = asyncio.create_task(lifecycle.wait_draining())
        await asyncio.sleep(0)
        assert not waiting.done()
        lifecycle.begin_drain()
        lifecycle.begin_drain()
        async with asyncio.timeout(20):
            await waiting
        assert (lifecycle.status, lifecycle.draining, lifecycle.value) == ("draining", True, 1)


async def test_draining_ends_whoever_waits_for_the_next_piece_of_a_stream(lifecycle: Lifecycle[int]) -> None:
    forever = asyncio.Event()
    async with lifecycle.lease():
        waiting = [asyncio.create_task(lifecycle.next_of(forever.wait)) for _ in range(3)]
        await asyncio.sleep(0)
        await asyncio.to_thread(lifecycle.begin_drain)
        async with asyncio.timeout(20):
            ended = await asyncio.gather(*waiting, return_exceptions=True)
        assert [type(each) for each in ended] == [ShuttingDown] * 3
        with pytest.raises(ShuttingDown):
            await lifecycle.next_of(forever.wait)


async def test_what_a_stream_says_or_fails_with_is_its_own(lifecycle: Lifecycle[int]) -> None:
    entered = []

    class Watch:
        def __enter__(self) -> None:
            entered.append("begin")

        def __exit__(self, *exc_info: object) -> None:
            entered.append("end")

    async def piece() -> str:
        assert entered == ["begin"]
        return "piece"

    async def late() -> str:
        raise TimeoutError("its own")

    lifecycle.while_streaming = Watch()
    async with lifecycle.lease():
        assert await lifecycle.next_of(piece) == "piece"
        assert entered == ["begin", "end"]
        with pytest.raises(TimeoutError, match="its own"):
            await lifecycle.next_of(late)
    with pytest.raises(NotStarted):
        await lifecycle.next_of(piece)


async def test_closing_wakes_whoever_waits_for_the_drain(lifecycle: Lifecycle[int]) -> None:
    await lifecycle.ensure_started()
    waiting = asyncio.create_task(lifecycle.wait_draining())
    await asyncio.sleep(0)
    await lifecycle.aclose()
    async with asyncio.timeout(20):
        await waiting
    with pytest.raises(NotStarted):
        await lifecycle.wait_draining()


async def test_nothing_starts_while_it_is_being_closed(lifecycle: Lifecycle[int], opener: Opener) -> None:
    closing = asyncio.Event()

    async def slow_close(stack: AsyncExitStack) -> int:
        stack.push_async_callback(closing.wait)
        return 1

    slow = Lifecycle(slow_close, clock=StillClock())
    await slow.ensure_started()
    end = asyncio.create_task(slow.aclose())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(ShuttingDown):
        await slow.ensure_started()
    closing.set()
    await end


def test_an_event_loop_that_is_gone_is_forgotten(lifecycle: Lifecycle[int], opener: Opener) -> None:
    """As with a test client that makes a new loop for every request."""
    for number in (1, 2, 3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(lifecycle.ensure_started()) == number
        loop.run_until_complete(lifecycle.aclose())
        loop.close()
        assert lifecycle.status == "stopped"
    assert (opener.starts, opener.stops) == (3, 3)


async def test_another_live_event_loop_is_served_from_the_first(lifecycle: Lifecycle[int], opener: Opener) -> None:
    home = asyncio.get_running_loop()
    await lifecycle.ensure_started()

    async def use(value: int) -> tuple[int, bool]:
        return value, asyncio.get_running_loop() is home

    def elsewhere() -> tuple[int, bool]:
        return asyncio.run(lifecycle.run(use))

    assert await asyncio.to_thread(elsewhere) == (1, True)
    assert await lifecycle.run(use) == (1, True)
    assert opener.starts == 1
    await asyncio.to_thread(lambda: asyncio.run(lifecycle.aclose()))
    assert lifecycle.status == "stopped"


async def test_a_lease_on_another_live_loop_is_refused(lifecycle: Lifecycle[int]) -> None:
    await lifecycle.ensure_started()

    async def lease() -> None:
        async with lifecycle.lease():
            pass

    with pytest.raises(NotStarted, match="another event loop"):
        await asyncio.to_thread(lambda: asyncio.run(lease()))
    await lifecycle.aclose()


async def test_closing_lets_what_is_in_use_end_first(lifecycle: Lifecycle[int], opener: Opener) -> None:
    working_on_it, go_on = asyncio.Event(), asyncio.Event()

    async def work(value: int) -> int:
        working_on_it.set()
        await go_on.wait()
        assert opener.stops == 0
        return value

    working = asyncio.create_task(lifecycle.run(work))
    async with asyncio.timeout(20):
        await working_on_it.wait()
        waiting = asyncio.create_task(lifecycle.wait_draining())
        closing = asyncio.create_task(lifecycle.aclose())
        await waiting
        assert (lifecycle.status, opener.stops) == ("draining", 0)
        go_on.set()
        assert await working == 1
        await closing
    assert opener.stops == 1


async def test_closing_does_not_wait_for_ever(opener: Opener, caplog: pytest.LogCaptureFixture) -> None:
    lifecycle = Lifecycle(opener, clock=StillClock(), drain_s=0.01)
    working_on_it = asyncio.Event()

    async def work(_: int) -> None:
        working_on_it.set()
        await asyncio.Event().wait()

    working = asyncio.create_task(lifecycle.run(work))
    async with asyncio.timeout(20):
        await working_on_it.wait()
        await lifecycle.aclose()
    assert (lifecycle.status, opener.stops) == ("stopped", 1)
    assert "closing what is still in use" in caplog.text
    working.cancel()
    await asyncio.wait([working])


async def test_what_goes_on_with_something_begun_earlier_starts_nothing(
    lifecycle: Lifecycle[int], opener: Opener
) -> None:
    async def work(value: int) -> int:
        return value

    with pytest.raises(NotStarted):
        await lifecycle.run(work, start=False)
    with pytest.raises(NotStarted), lifecycle.in_use():
        pass
    assert opener.starts == 0


async def test_a_drain_may_begin_in_another_thread(lifecycle: Lifecycle[int]) -> None:
    async with lifecycle.lease():
        waiting = asyncio.create_task(lifecycle.wait_draining())
        await asyncio.to_thread(lifecycle.begin_drain)
        async with asyncio.timeout(20):
            await waiting


def test_a_loop_that_ends_with_us_still_open_closes_in_order(
    lifecycle: Lifecycle[int], opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    """As with a server that runs no lifespan and cancels its tasks at the end."""
    asyncio.run(lifecycle.ensure_started())  # type: ignore[arg-type]
    assert (opener.stops, lifecycle.status) == (1, "stopped")
    assert not caplog.records


def test_a_loop_that_stands_still_is_no_reason_to_hang(lifecycle: Lifecycle[int]) -> None:
    home = asyncio.new_event_loop()
    home.run_until_complete(lifecycle.ensure_started())
    with pytest.raises(NotStarted, match="stopped without closing"):
        asyncio.run(lifecycle.ensure_started())  # type: ignore[arg-type]
    home.run_until_complete(lifecycle.aclose())
    home.close()


async def test_a_failure_to_close_is_logged_and_not_raised(caplog: pytest.LogCaptureFixture) -> None:
    async def open_value(stack: AsyncExitStack) -> int:
        def fail() -> None:
            raise OSError("the disk is gone")

        stack.callback(fail)
        return 1

    lifecycle = Lifecycle(open_value, clock=StillClock())
    async with lifecycle.lease():
        pass
    assert lifecycle.status == "stopped"
    assert "closing failed" in caplog.text


async def test_a_lease_given_up_during_the_start_ends_it_once_it_is_through(
    lifecycle: Lifecycle[int], opener: Opener
) -> None:
    opener.gate = asyncio.Event()

    async def lease() -> None:
        async with lifecycle.lease():
            raise AssertionError("never entered")

    starting = asyncio.create_task(lease())
    while lifecycle.status != "starting":
        await asyncio.sleep(0)
    assert lifecycle.leases == 1
    starting.cancel()
    await asyncio.sleep(0)
    opener.gate.set()
    await asyncio.wait([starting])
    async with asyncio.timeout(20):
        while lifecycle.status != "stopped":
            await asyncio.sleep(0)
    assert (opener.starts, opener.stops) == (1, 1)
