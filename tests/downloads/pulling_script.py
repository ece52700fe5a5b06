"""Pulls a model per line of its input, each in a whole server in a process of its own that can be killed.

A line is the settings of the server, the reference and by how many seconds its clock is ahead, as JSON. Printed are the
process's id, and its exit status when it ended. How many bytes it has received stands in ``<cache>.received``.
"""

import asyncio
import json
import os
import sys
from datetime import datetime, timedelta
from typing import Any

from bodhi_asgi.clock import SystemClock
from bodhi_asgi.server import BodhiServer
from tests.hub.fetching_script import count


class FastClock(SystemClock):
    """So that the next life need not wait until the claim of a killed one has run out."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead = timedelta(seconds=ahead_s)

    def now(self) -> datetime:
        return super().now() + self._ahead


async def main(settings: dict[str, Any], reference: str, ahead_s: float) -> None:
    count(os.open(f"{settings['hub']['cache_dir']}.received", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    async with BodhiServer(clock=FastClock(ahead_s), **settings) as server:
        await (await server.pull_model(reference))


if __name__ == "__main__":
    for line in sys.stdin:
        child = os.fork()  # nothing runs here but this thread
        if child == 0:
            asyncio.run(main(*json.loads(line)))
            os._exit(0)
        print(child, flush=True)
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
