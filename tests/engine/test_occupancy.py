"""How long a model stays: while it is at work, while somebody is coming for it, and for its keep-alive."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bodhi_asgi.clock import StillClock
from bodhi_asgi.engine.budget import Shortage, least_recently_used
from bodhi_asgi.engine.errors import ModelLoadFailed, NoRoomForModel
from bodhi_asgi.engine.occupancy import ARRIVAL_S, Occupancy

MB = 1024 * 1024


def test_a_model_without_work_expires_after_its_keep_alive() -> None:
    clock = StillClock()
    occupancy = Occupancy(300.0, clock.monotonic())
    occupancy.began(None)
    assert (occupancy.is_busy, occupancy.expires_at, occupancy.idle_s(clock.monotonic())) == (True, None, None)
    clock.advance(1000)
    occupancy.ended(clock.monotonic())
    assert (occupancy.is_busy, occupancy.expires_at) == (False, 1300.0)
    clock.advance(60)
    assert occupancy.idle_s(clock.monotonic()) == 60.0


def test_zero_expires_at_once_and_a_negative_keep_alive_never() -> None:
    occupancy = Occupancy(0.0, 0.0)
    occupancy.began(None)
    occupancy.ended(7.0)
    assert occupancy.expires_at == 7.0
    occupancy.began(-1.0)
    occupancy.ended(8.0)
    assert occupancy.expires_at is None
    assert occupancy.may_leave(8.0)


def test_a_requests_own_keep_alive_holds_until_another_brings_one() -> None:
    occupancy = Occupancy(300.0, 0.0)
    for brought, holds in ((10.0, 10.0), (None, 10.0), (5.0, 5.0)):
        occupancy.began(brought)
        occupancy.ended(0.0)
        assert occupancy.expires_at == holds


def test_the_last_of_several_requests_begins_the_wait() -> None:
    occupancy = Occupancy(10.0, 0.0)
    occupancy.began(None)
    occupancy.began(None)
    occupancy.ended(1.0)
    assert (occupancy.is_busy, occupancy.may_leave(1.0)) == (True, False)
    occupancy.ended(2.0)
    assert (occupancy.expires_at, occupancy.may_leave(2.0)) == (12.0, True)
    with pytest.raises(AssertionError):
        occupancy.ended(3.0)


def test_a_model_just_loaded_waits_for_whom_it_was_loaded_for() -> None:
    occupancy = Occupancy(0.0, 0.0)
    occupancy.loaded(100.0)
    assert occupancy.expires_at == 100.0 + ARRIVAL_S
    assert not occupancy.may_leave(100.0 + ARRIVAL_S - 1)
    assert occupancy.may_leave(100.0 + ARRIVAL_S)


def chosen(idle: list[tuple[float, int]], missing: int) -> list[tuple[float, int]]:
    return least_recently_used(idle, missing, idle_s=lambda one: one[0], size_bytes=lambda one: one[1])


def test_the_longest_idle_go_first_and_no_more_than_are_needed() -> None:
    idle = [(1.0, 5), (30.0, 5), (20.0, 0), (10.0, 5)]
    assert chosen(idle, 5) == [(30.0, 5)]
    assert chosen(idle, 6) == [(30.0, 5), (10.0, 5)]
    assert chosen(idle, 16) == []


@given(st.lists(st.tuples(st.floats(0, 1e6), st.integers(0, 1000))), st.integers(1, 3000))
def test_whoever_is_chosen_gives_enough_or_nobody_has_to_go(idle: list[tuple[float, int]], missing: int) -> None:
    going = chosen(idle, missing)
    assert bool(going) == (sum(size for _, size in idle) >= missing)
    if going:
        assert sum(size for _, size in going) >= missing > sum(size for _, size in going[:-1])
        assert [since for since, _ in going] == sorted((since for since, _ in going), reverse=True)


def test_a_shortage_says_what_is_needed_and_who_has_it() -> None:
    error = Shortage("big", 300 * MB, 400 * MB, (("one", 150 * MB), ("two", 50 * MB))).refusal()
    assert isinstance(error, NoRoomForModel)
    assert (error.status, error.retry_after_s) == (503, 10.0)
    for told in ("'big' needs about 0.3 GiB", "0.4 GiB together", "0.2 GiB of it are taken by 'one', 'two'"):
        assert told in error.message
    hopeless = Shortage("big", 500 * MB, 400 * MB, (("one", 150 * MB),)).refusal()
    assert isinstance(hopeless, ModelLoadFailed)
    assert hopeless.retry_after_s is None
