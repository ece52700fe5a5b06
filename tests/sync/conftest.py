"""A server for code that is not asynchronous, with the deterministic runner."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bodhi_asgi import Bodhi, BodhiApp, SyncBodhiServer

HELLO: dict[str, Any] = {"model": "parrot", "messages": [{"role": "user", "content": "hello there friend"}]}
ENDLESS: dict[str, Any] = {
    "model": "parrot",
    "messages": [{"role": "user", "content": "poison: sleep 0.01 on and on"}],
    "ignore_eos": True,
    "max_tokens": 4000,
}


@pytest.fixture
def app(tmp_path: Path) -> BodhiApp:
    return BodhiApp(
        data_dir=tmp_path / "data",
        database_url="sqlite://",
        models={"parrot": "parrot", "secret": "secret"},
        demo=False,
        engine={"runner": "poison", "isolation": "thread", "n_ctx": 8192},
    )


@pytest.fixture
def bodhi(app: BodhiApp) -> Iterator[SyncBodhiServer]:
    with app.sync() as verbs:
        yield verbs


def await_running(app: BodhiApp, verbs: SyncBodhiServer, count: int) -> None:
    """Wait until so many requests run in the engine."""

    async def there(_: Bodhi) -> None:
        async with asyncio.timeout(30):
            while (await app.server.services.engines.stats())["parrot"].running != count:
                await asyncio.sleep(0.005)

    verbs.run(there)
