"""Where bodies are read and whole answers made: a short one at once, a long one in a thread beside the event loop, one
after the other.

Reading holds the interpreter for as long as one call into a parser takes, in whatever thread that is. So how many
values a body may have is bounded, also where a direct call brings it as Python's own objects; and only one body is read
at a time, because threads that all compute share what is left for the loop.
"""

import asyncio
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from pydantic import BaseModel

from bodhi_asgi.strict_json import load_object
from bodhi_asgi.types import JSON
from bodhi_asgi.wire.given import items_of, refuse_unlike_json

T = TypeVar("T")
B = TypeVar("B")

SHORT_BYTES: Final = 32 * 1024
"""What is read in less than a millisecond, however it is made."""

SHORT_VALUES: Final = 1024
SHORT_CHARS: Final = 64 * 1024


class JSONBody(dict[str, JSON]):
    """What was read as strict JSON; nothing in it is looked for a second time."""


class Desk:
    """Reads the bodies of one server, and makes its whole answers.

    Its thread, ``bodhi-bodies``, starts with the first long one.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="bodhi-bodies")

    async def load(self, body: bytes) -> JSONBody:
        """The body as a strict JSON object. Raises JSONInvalid."""
        if len(body) <= SHORT_BYTES:
            return _loaded(body)
        return await self._beside(partial(_loaded, body))

    async def decode(self, decode: Callable[[B], T], body: B) -> T:
        """``decode`` of a body, which is a mapping or a typed request. Raises what it raises, and JSONInvalid."""
        if _is_short(body):
            return _decoded(decode, body)
        return await self._beside(partial(_decoded, decode, body))

    async def encode(self, make: Callable[[], T], *, size: int) -> T:
        """What ``make`` makes of an answer of about ``size`` bytes. Raises what it raises."""
        return make() if size <= SHORT_BYTES else await self._beside(make)

    async def close(self) -> None:
        """Give up what waits, and wait for what is being read."""
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _beside(self, read: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, read)


def _loaded(body: bytes) -> JSONBody:
    return JSONBody(load_object(body))


def _decoded(decode: Callable[[B], T], body: B) -> T:
    if not isinstance(body, JSONBody):
        refuse_unlike_json(body)
    return decode(body)


def _is_short(root: object) -> bool:
    values = chars = 0
    found = [root]
    for value in found:  # grows while it is read
        items = items_of(value)
        values += len(items)
        if values > SHORT_VALUES:
            return False
        for item in items:
            if isinstance(item, str):
                chars += len(item)
            elif isinstance(item, list | tuple | Mapping | BaseModel):
                found.append(item)
    return chars <= SHORT_CHARS
