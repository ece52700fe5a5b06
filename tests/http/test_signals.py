"""Signals heard in front of whoever has them, and given back."""

import asyncio
import os
import signal
from typing import Any

from bodhi_asgi.http.drain import Drain
from bodhi_asgi.http.signals import Signals


async def test_both_hear_a_signal_and_the_handler_is_given_back() -> None:
    heard: list[str] = []
    began = asyncio.Event()

    def servers(*_: Any) -> None:
        heard.append("server")

    before = signal.signal(signal.SIGTERM, servers)
    try:
        signals = Signals(began.set)
        signals.listen()
        signals.listen()
        os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await began.wait()
        assert heard == ["server"]
        signals.close()
        signals.close()
        assert signal.getsignal(signal.SIGTERM) is servers
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_a_handler_that_was_set_after_ours_is_left_and_heard_with_the_next_request() -> None:
    heard: list[str] = []

    def servers(*_: Any) -> None:
        heard.append("server")

    before = signal.getsignal(signal.SIGTERM)
    drain = Drain(lambda: None, signals=True)
    try:
        drain.listen()
        signal.signal(signal.SIGTERM, servers)
        drain.close()
        assert signal.getsignal(signal.SIGTERM) is servers
        with drain:
            assert signal.getsignal(signal.SIGTERM) is not servers
        drain.close()
        assert signal.getsignal(signal.SIGTERM) is servers
    finally:
        signal.signal(signal.SIGTERM, before)


async def test_nothing_is_touched_outside_the_main_thread_or_unless_asked() -> None:
    before = signal.getsignal(signal.SIGTERM)

    async def listen(drain: Drain) -> None:
        drain.listen()
        drain.close()

    await asyncio.to_thread(lambda: asyncio.run(listen(Drain(lambda: None, signals=True))))
    Drain(lambda: None).listen()
    assert signal.getsignal(signal.SIGTERM) == before
