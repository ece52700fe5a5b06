"""The bus tells everybody who asked, waits for nobody, and ends when it is closed."""

import asyncio
import gc
from dataclasses import FrozenInstanceError

import pytest

from bodhi_asgi.events.bus import BUFFER, EventBus
from bodhi_asgi.events.types import Event, ModelLoaded, ServerStarted, TokenCreated, TokenRevoked


async def test_subscribers_hear_their_type_in_order() -> None:
    bus = EventBus()
    with bus.subscribe(TokenRevoked) as revoked, bus.subscribe(Event) as everything:
        bus.publish(TokenRevoked("1"))
        bus.publish(TokenCreated("2", "ann"))
        bus.publish(TokenRevoked("3"))
        bus.close()
        assert [event.token_id async for event in revoked] == ["1", "3"]
        assert [event async for event in everything] == [
            TokenRevoked("1"),
            TokenCreated("2", "ann"),
            TokenRevoked("3"),
        ]


async def test_a_reader_waits_for_what_comes() -> None:
    bus = EventBus()
    subscription = bus.subscribe(ModelLoaded)
    reading = asyncio.create_task(anext(subscription))  # type: ignore[arg-type]
    async with asyncio.timeout(20):
        await asyncio.sleep(0)
        assert not reading.done()
        bus.publish(ServerStarted())
        bus.publish(ModelLoaded("demo"))
        assert await reading == ModelLoaded("demo")


async def test_what_was_before_is_not_heard() -> None:
    bus = EventBus()
    bus.publish(ModelLoaded("early"))
    subscription = bus.subscribe(ModelLoaded)
    bus.publish(ModelLoaded("late"))
    assert await anext(subscription) == ModelLoaded("late")


async def test_a_slow_subscriber_loses_the_oldest_and_is_told_how_many() -> None:
    bus = EventBus()
    slow, quick = bus.subscribe(ModelLoaded, buffer=3), bus.subscribe(ModelLoaded)
    for number in range(10):
        bus.publish(ModelLoaded(str(number)))
    bus.close()
    assert [event.model async for event in slow] == ["7", "8", "9"]
    assert slow.lost == 7
    assert len([event async for event in quick]) == 10
    assert quick.lost == 0


async def test_closing_ends_all_who_wait() -> None:
    bus = EventBus()
    subscriptions = [bus.subscribe(Event) for _ in range(3)]

    async def read(number: int) -> list[Event]:
        return [event async for event in subscriptions[number]]

    tasks = [asyncio.create_task(read(number)) for number in (0, 1, 2, 2)]
    async with asyncio.timeout(20):
        await asyncio.sleep(0)
        subscriptions[0].close()
        subscriptions[0].close()
        assert await tasks[0] == []
        bus.publish(ServerStarted())
        bus.close()
        bus.close()
        assert await tasks[1] == [ServerStarted()]
        assert sorted([len(await tasks[2]), len(await tasks[3])]) == [0, 1]


async def test_a_closed_bus_tells_nobody_anything() -> None:
    bus = EventBus()
    bus.close()
    late = bus.subscribe(Event)
    bus.publish(ServerStarted())
    async with asyncio.timeout(20):
        assert [event async for event in late] == []


async def test_a_cancelled_reader_loses_nothing() -> None:
    bus = EventBus()
    subscription = bus.subscribe(ModelLoaded)
    reading = asyncio.create_task(anext(subscription))  # type: ignore[arg-type]
    await asyncio.sleep(0)
    reading.cancel()
    bus.publish(ModelLoaded("demo"))
    await asyncio.wait([reading])
    async with asyncio.timeout(20):
        assert await anext(subscription) == ModelLoaded("demo")


async def test_a_subscription_that_was_left_is_forgotten() -> None:
    bus = EventBus()
    subscription = bus.subscribe(ModelLoaded)
    bus.publish(ModelLoaded("demo"))
    async for _ in subscription:
        break
    del subscription
    gc.collect()
    assert len(bus._subscriptions) == 0


def test_a_buffer_has_room() -> None:
    assert BUFFER >= 1
    with pytest.raises(ValueError, match="needs room"):
        EventBus().subscribe(Event, buffer=0)


def test_an_event_does_not_change() -> None:
    with pytest.raises(FrozenInstanceError):
        ModelLoaded("demo").model = "other"  # type: ignore[misc]
