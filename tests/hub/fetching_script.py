"""Fetches one file per line of its input, each in a process of its own that can be killed.

A line is endpoint, repository, file and cache as JSON. Printed are the process's id, and its exit status when it ended.
How many bytes it has received, headers among them, stands in ``<cache>.received``. Everything is imported once: a child
costs milliseconds.
"""

import asyncio
import json
import os
import sys
from pathlib import Path

from bodhi_asgi.connections import Intake
from bodhi_asgi.hub.access import HubAccess
from bodhi_asgi.hub.fetch import fetch
from bodhi_asgi.hub.transport import HubTransport
from bodhi_asgi.hub.types import HubFile


def count(note: int) -> None:
    """Note what comes over connections before anybody has it, in a file that outlives the process."""
    received = 0
    take = Intake.buffer_updated

    def counted(intake: Intake, nbytes: int) -> None:
        nonlocal received
        received += nbytes
        os.pwrite(note, b"%12d" % received, 0)
        take(intake, nbytes)

    Intake.buffer_updated = counted  # type: ignore[method-assign]


async def main(endpoint: str, repo: str, filename: str, cache: str) -> None:
    count(os.open(f"{cache}.received", os.O_WRONLY | os.O_CREAT | os.O_TRUNC))
    transport = HubTransport(HubAccess(endpoint, stall_timeout_s=60))
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
