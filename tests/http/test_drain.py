"""Noticing that the server around us stops, by looking only."""

import asyncio
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from bodhi_asgi.http.drain import Drain, surrounding_server_is_stopping


class SurroundingServer:
    """As uvicorn has it: the handler of SIGTERM is a method of what says ``should_exit``."""

    should_exit = False

    def handle_exit(self, number: int, frame: FrameType | None) -> None:
        self.should_exit = True


@pytest.fixture
def server() -> Iterator[SurroundingServer]:
    server = SurroundingServer()
    before = signal.signal(signal.SIGTERM, server.handle_exit)
    yield server
    signal.signal(signal.SIGTERM, before)


async def test_a_drain_begins_when_the_server_should_exit(server: SurroundingServer) -> None:
    begun = asyncio.Event()
    drain = Drain(begun.set)
    with drain, drain:
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(20):
            await begun.wait()


class SurroundingWorker:
    """As gunicorn has it: the handler is a method of what is ``alive``."""

    alive = True

    def handle_exit(self, number: int, frame: FrameType | None) -> None:
        self.alive = False


def test_a_worker_that_is_alive_no_longer_is_stopping() -> None:
    worker = SurroundingWorker()
    before = signal.signal(signal.SIGTERM, worker.handle_exit)
    try:
        assert not surrounding_server_is_stopping()
        signal.raise_signal(signal.SIGTERM)
        assert surrounding_server_is_stopping()
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_nobody_watches_while_nothing_is_open(server: SurroundingServer) -> None:
    drain = Drain(lambda: None)
    with drain:
        assert drain.is_watching
    await looks_no_more(drain)


def test_other_handlers_say_nothing() -> None:
    assert not surrounding_server_is_stopping()


async def test_watching_again_and_again_is_no_more_work_than_once(server: SurroundingServer) -> None:
    begun: list[str] = []
    drain = Drain(lambda: begun.append("begun"))
    for _ in range(100):
        with drain:
            await asyncio.sleep(0)
    await looks_no_more(drain)
    assert begun == []
    server.should_exit = True
    for _ in range(3):
        with drain:
            await asyncio.sleep(0)
        assert not drain.is_watching
    assert begun == ["begun"] * 3


async def test_nobody_watches_after_the_end() -> None:
    begun: list[str] = []
    drain = Drain(lambda: begun.append("begun"))
    with drain:
        drain.close()
        assert not drain.is_watching
    drain.close()
    assert begun == []


def test_a_loop_that_has_died_is_watched_no_more(server: SurroundingServer) -> None:
    begun: list[str] = []
    drain = Drain(lambda: begun.append("begun"))

    async def watch() -> None:
        with drain:
            await asyncio.sleep(0)

    asyncio.run(watch())
    assert drain.is_watching
    server.should_exit = True
    asyncio.run(watch())
    assert begun == ["begun"]


async def looks_no_more(drain: Drain) -> None:
    async with asyncio.timeout(20):
        while drain.is_watching:
            await asyncio.sleep(0)
