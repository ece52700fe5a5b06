"""``python mounts_script.py HOST FOLDER MOUNTS LIVES ENGINES``: what mounting again and again leaves behind, as JSON.

Mounts are made and dropped; of those that live, a host starts and stops, and the last few also load an engine. Each is
told as what one of them leaves, when the first ones have left what is left once.
"""

import asyncio
import gc
import json
import sys
import weakref
from collections.abc import Callable
from contextlib import asynccontextmanager
from typing import Any

from tests.asgi.guest_script import held, kept_since
from tests.asgi.guests import forgotten, hosting, import_us, made

HELLO = {"model": "parrot", "messages": [{"role": "user", "content": "hello there"}]}
alive: "weakref.WeakSet[Any]" = weakref.WeakSet()


def guest(kind: str, folder: str) -> Any:
    engine: dict[str, Any] = {"runner": "echo", "isolation": "thread", "n_ctx": 256, "linger_s": 0}
    bodhi = made(kind, data_dir=folder, models={"parrot": "x"}, demo=False, engine=engine)
    alive.add(bodhi)
    return bodhi


@asynccontextmanager
async def started(app: Any) -> Any:
    """The lifespan of a host, as a server runs it."""
    to_app: asyncio.Queue[Any] = asyncio.Queue()
    said: asyncio.Queue[Any] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}
    task = asyncio.create_task(app(scope, to_app.get, said.put))
    to_app.put_nowait({"type": "lifespan.startup"})
    assert (await said.get())["type"] == "lifespan.startup.complete"
    yield
    to_app.put_nowait({"type": "lifespan.shutdown"})
    assert (await said.get())["type"] == "lifespan.shutdown.complete"
    await task


def left(count: int, once: Callable[[], None]) -> dict[str, Any]:
    """What each of ``count`` leaves behind, a quarter of them lived before."""
    for _ in range(count // 4):
        once()
    before, blocks = held(), _blocks()
    for _ in range(count):
        once()
    return {
        "kept": kept_since(before),
        "alive": len(alive),
        "blocks": (_blocks() - blocks) / count,
    }


def _blocks() -> int:
    """Pieces of memory that Python has given out."""
    gc.collect()
    return sys.getallocatedblocks()


def main(kind: str, folder: str, mounts: str, lives: str, engines: str) -> None:
    import_us(kind)

    def mount() -> None:
        hosting(kind, {"/bodhi": guest(kind, folder)})
        forgotten(kind)

    async def live(*, with_engine: bool) -> None:
        bodhi = guest(kind, folder)
        async with started(hosting(kind, {"/bodhi": bodhi})):
            if with_engine:
                assert (await bodhi.server.chat_completion(HELLO, stream=False)).text == "hello there"
        forgotten(kind)

    found = {
        "mounts": left(int(mounts), mount),
        "lives": left(int(lives), lambda: asyncio.run(live(with_engine=False))),
        "engines": left(int(engines), lambda: asyncio.run(live(with_engine=True))),
    }
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])
