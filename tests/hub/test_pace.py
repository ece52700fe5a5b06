"""A hub that drips is left, and the download goes on at its byte; one that is slow but not that slow is not."""

import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bodhi_asgi.clock import StillClock
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.errors import HubUnreachable
from bodhi_asgi.hub.fetch import fetch
from bodhi_asgi.hub.pace import Pace
from bodhi_asgi.hub.peek import read
from bodhi_asgi.hub.refusals import Passing
from bodhi_asgi.hub.transport import HubTransport
from bodhi_asgi.hub.types import HubFile
from tests.hub.server import Fault, Hub

WEIGHTS = random.Random(10).randbytes(400_000)
FILE = HubFile("owner/model", "model.gguf")
RETRIES = 3


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def transport(hub: Hub, endpoint: str, clock: StillClock) -> AsyncIterator[HubTransport]:
    hub.add("owner/model", {FILE.filename: WEIGHTS})
    access = HubAccess(endpoint, answer_timeout_s=60, stall_timeout_s=60, retries=RETRIES, first_delay_s=0.01)
    made = HubTransport(access, clock)
    yield made
    await made.aclose()


def dripping(clock: StillClock, *, after: int, times: int = 1) -> Fault:
    """A byte a second, by the clock."""
    return Fault(times=times, drip_after=after, hook=lambda: clock.advance(1))


async def test_a_hub_that_drips_is_left_and_the_download_goes_on_at_its_byte(
    hub: Hub, transport: HubTransport, clock: StillClock, tmp_path: Path
) -> None:
    hub.fault("cdn", dripping(clock, after=100_000))
    fetched = await fetch(transport, FILE, tmp_path)
    assert fetched.path.read_bytes() == WEIGHTS
    first, second = hub.requests("cdn")
    assert 100_000 < second.begin < len(WEIGHTS)
    assert second.begin <= sum(first.sent)
    assert fetched.received_bytes == len(WEIGHTS), "nothing of it came twice"


async def test_a_hub_that_only_ever_drips_is_given_up_with_what_it_brought(
    hub: Hub, transport: HubTransport, clock: StillClock, tmp_path: Path
) -> None:
    hub.fault("cdn", dripping(clock, after=0, times=RETRIES + 1))
    with pytest.raises(HubUnreachable, match=r"less than 1,024 bytes a second; see hub\.low_speed_limit"):
        await fetch(transport, FILE, tmp_path)
    begins = [seen.begin for seen in hub.requests("cdn")]
    assert len(begins) == RETRIES + 1
    assert begins == sorted(set(begins)), "each went on where the one before had come to"
    assert (await fetch(transport, FILE, tmp_path)).path.read_bytes() == WEIGHTS
    assert hub.requests("cdn")[-1].begin > begins[-1]


async def test_a_header_that_drips_is_asked_for_again(hub: Hub, transport: HubTransport, clock: StillClock) -> None:
    hub.fault("cdn", dripping(clock, after=0))
    assert await read(transport, FILE, 0, 100_000) == WEIGHTS[:100_000]
    assert len(hub.requests("cdn")) == 2


@pytest.mark.parametrize(("limit", "a_second", "is_left"), [(1024, 1023, True), (1024, 1024, False), (0, 0, False)])
def test_the_limit_is_of_the_mean_of_a_span(clock: StillClock, limit: int, a_second: int, is_left: bool) -> None:
    pace = Pace(HubAccess(stall_timeout_s=30, low_speed_limit=limit), clock)
    left_after_s = None
    for second in range(1, 100):
        pace.wait()
        clock.advance(1)
        try:
            pace.came(a_second)
        except Passing:
            left_after_s = second
            break
    assert left_after_s == (30 if is_left else None)


def test_time_in_which_nobody_waits_for_the_hub_is_not_its_own(clock: StillClock) -> None:
    pace = Pace(HubAccess(stall_timeout_s=30), clock)
    for _ in range(100):
        pace.wait()
        pace.came(10)
        clock.advance(10)  # our disk


def test_a_connection_that_drips_in_the_end_was_worth_it_for_what_came_before(clock: StillClock) -> None:
    pace = Pace(HubAccess(stall_timeout_s=30), clock)
    pace.wait()
    clock.advance(30)
    pace.came(1_000_000)
    pace.wait()
    clock.advance(30)
    with pytest.raises(Passing):
        pace.came(30)
    assert pace.worth == 31
