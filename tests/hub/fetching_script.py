"""Fetches one file per line of its input, each in a process of its own that can be killed.

A line is endpoint, repository, file and cache as JSON. Printed are the process's id, and its exit status when it ended.
How many bytes of the file it has received stands in ``<cache>.received``. Everything is imported once: a child
costs milliseconds.
"""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.fetch import fetch
from bodhi_asgi.hub.transport import Answer, HubTransport
from bodhi_asgi.hub.types import HubFile


class CountingTransport(HubTransport):
    """Notes each piece before anybody has it, in a file that outlives the process."""

    def __init__(self, access: HubAccess, note: int) -> None:
        super().__init__(access)
        self._note = note
        self._received = 0

    @asynccontextmanager
    async def asking(self, method: str, url: str, *args: Any, **kwargs: Any) -> AsyncIterator[Answer]:
        async with super().asking(method, url, *args, **kwargs) as answer:
            answer.response.aiter_raw = partial(self._counted, answer.response.aiter_raw())
            yield answer

    async def _counted(self, pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in pieces:
            self._received += len(piece)
            os.pwrite(self._note, b"%12d" % self._received, 0)
            yield piece


async def main(endpoint: str, repo: str, filename: str, cache: str) -> None:
    note = os.open(f"{cache}.received", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    transport = CountingTransport(HubAccess(endpoint, stall_timeout_s=60), note)
    try:
        await fetch(transport, HubFile(repo, filename), Path(cache))
    finally:
        await transport.aclose()


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()  # nothing runs here but this thread
        if child == 0:
            asyncio.run(main(*json.loads(line)))
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
