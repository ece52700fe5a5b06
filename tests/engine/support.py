"""Engines of every kind under one name, and how to ask them."""

import asyncio
import itertools
from contextlib import aclosing
from typing import Any

from bodhi_asgi.demo_model import DEMO_MODEL_PATH
from bodhi_asgi.engine.types import Engine, ModelSpec, Work
from bodhi_asgi.messages.answers import Delta
from bodhi_asgi.messages.conversation import ChatPrompt, Message, Role
from bodhi_asgi.messages.generation import GenerateRequest, Sampling

ECHO = ModelSpec("parrot", "nowhere", runner="echo", n_ctx=512, slots=4, queue_limit=64)
LLAMA = ModelSpec("demo", str(DEMO_MODEL_PATH), n_ctx=512, slots=4, threads=1, queue_limit=64)
GREEDY = Sampling(temperature=0)
numbers = itertools.count()


def work(text: str, *, owner: str = "", deadline_s: float | None = None, **options: Any) -> Work:
    """A chat request with one message, greedy unless said otherwise."""
    options.setdefault("sampling", GREEDY)
    prompt = ChatPrompt((Message(Role.USER, text),))
    return Work(f"w{next(numbers)}", GenerateRequest("m", prompt, **options), owner, deadline_s)


async def deltas_of(engine: Engine, asked: Work) -> list[Delta]:
    async with aclosing(engine.submit(asked)) as stream:  # type: ignore[type-var]
        return [delta async for delta in stream]


async def text_of(engine: Engine, asked: Work) -> str:
    return "".join(delta.text for delta in await deltas_of(engine, asked))


async def becomes_idle(engine: Engine) -> None:
    """Wait until nothing runs, waits, or holds a slot."""
    async with asyncio.timeout(20):
        while True:
            stats = await engine.stats()
            if (stats.running, stats.waiting, stats.slots_used, stats.cells_used) == (0, 0, 0, 0):
                return
            await asyncio.sleep(0.005)


async def is_at_work(engine: Engine, requests: int) -> None:
    async with asyncio.timeout(20):
        while (await engine.stats()).running < requests:
            await asyncio.sleep(0.002)
