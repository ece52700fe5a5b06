"""Reads the header of a file that is far away, in growing ranges, before anything else of it is fetched."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

from bodhi_asgi.gguf.checks import check
from bodhi_asgi.gguf.reader import MAX_HEADER_BYTES, parse_prefix
from bodhi_asgi.gguf.types import GgufHeader, GgufInvalid

FIRST_BYTES: Final = 512 * 1024
"""Of the first range: small models and further parts of split ones need no second."""

Fetch: TypeAlias = Callable[[int, int], Awaitable[bytes]]
"""The bytes of the file from ``begin`` up to, and without, ``end``."""


async def fetch_header(fetch: Fetch, file_bytes: int) -> GgufHeader:
    """The header of a file of ``file_bytes``, checked. Each range is as long as what was there before, or longer.

    No more than :data:`~bodhi_asgi.gguf.reader.MAX_HEADER_BYTES` are asked for and kept. Raises GgufInvalid for a file
    that is no model or contradicts itself, and for answers of another length than was asked for; and what ``fetch``
    raises.
    """
    if file_bytes < 1:
        raise GgufInvalid("the file is empty")
    most = min(file_bytes, MAX_HEADER_BYTES)
    have = bytearray()
    wanted = FIRST_BYTES
    while True:
        end = min(wanted, most)
        answer = await fetch(len(have), end)
        if len(answer) != end - len(have):
            raise GgufInvalid(f"of the {end - len(have)} bytes asked for, {len(answer)} came")
        have += answer
        # A header of millions of texts takes a second to walk over, for which no event loop should stand still.
        found = await asyncio.to_thread(parse_prefix, have, file_bytes)
        if isinstance(found, GgufHeader):
            check(found, file_bytes)
            return found
        wanted = max(found.bytes, 2 * len(have))
